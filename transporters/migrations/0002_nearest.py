"""The index of nearest-neighbour search: points on the unit sphere, apart by vehicle type.

Straight distance on the sphere grows with great-circle distance, so that `<->` finds the truly
nearest, at every latitude and across the antimeridian.
"""

from typing import ClassVar

from django.contrib.postgres.operations import BtreeGistExtension, CreateExtension
from django.db import migrations
from django.db.migrations.operations.base import Operation

ADD_COLUMN = """
ALTER TABLE transporters_currentposition ADD COLUMN on_sphere cube NOT NULL
GENERATED ALWAYS AS (cube(ARRAY[
    cos(radians(lat)) * cos(radians(lng)),
    cos(radians(lat)) * sin(radians(lng)),
    sin(radians(lat))
])) STORED
"""
ADD_INDEX = """
CREATE INDEX current_position_nearest
ON transporters_currentposition USING gist (vehicle_type_id, on_sphere)
"""


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("transporters", "0001_initial")]

    operations: ClassVar[list[Operation]] = [
        CreateExtension("cube"),
        BtreeGistExtension(),
        migrations.RunSQL(
            ADD_COLUMN, "ALTER TABLE transporters_currentposition DROP COLUMN on_sphere"
        ),
        migrations.RunSQL(ADD_INDEX, "DROP INDEX current_position_nearest"),
    ]
