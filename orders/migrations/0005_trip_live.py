"""What the loop looks over for flags; made beside the traffic."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

LIVE = ["assigned", "at_drop", "at_pickup", "en_route_pickup", "in_transit"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0004_fact_data_and_indexes")]
    operations = [
        AddIndexConcurrently(
            "trip",
            models.Index(name="trip_live", fields=["won_at"], condition=models.Q(status__in=LIVE)),
        ),
    ]
