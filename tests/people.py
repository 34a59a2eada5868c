"""The people of the tests: Asha the customer, Balu and Chitra the captains, Devi the dispatcher.

And the smallest town they can live in: one open city with three vehicle types.
"""

from datetime import UTC, date, datetime
from itertools import count

from orders.verbs.confirm import confirm
from orders.verbs.tell import Plan, Told, tell
from transporters.models import Driver, Kyc, Transporter, Vehicle
from weelo.accounts.models import User
from weelo.cities.cells import around
from weelo.cities.models import City, CityCell, DispatchPolicy, RateCard, VehicleType

ASHA, BALU, CHITRA = "+919000000001", "+919000000002", "+919000000003"
CENTRE = (12.9716, 77.5946)
LONG_VALID = date(2040, 1, 1)
POLICY = {
    "waves": [
        {"after_s": after_s, "radius_m": radius_m}
        for after_s, radius_m in ((0, 5000), (12, 10000), (24, 20000), (36, 40000), (48, 80000))
    ],
    "wave_min": 10,
    "per_truck": 3,
    "wave_max": 100,
    "offers_cap": 3,
    "newcomers_every_s": 2,
}
_numbers = count(1)


def make_city(slug="bengaluru", centre=CENTRE, radius_km=10):
    """An open city with demo rates, a policy, and the types open-17-ft, tata-ace, tipper."""
    types = [
        ("open-17-ft", "open", 5000, 7000),
        ("mini-tata-ace", "mini", 500, 1000),
        ("tipper-20-24-t", "tipper", 20000, 24000),
    ]
    for position, (type_slug, category, least, most) in enumerate(types):
        VehicleType.objects.get_or_create(
            slug=type_slug,
            defaults={
                "category": category,
                "name": type_slug.replace("-", " "),
                "capacity_min_kg": least,
                "capacity_kg": most,
                "position": position,
            },
        )
    city = City.objects.create(slug=slug, name=slug.title(), lat=centre[0], lng=centre[1])
    CityCell.objects.bulk_create(
        [CityCell(cell=cell, city=city) for cell in around(*centre, radius_km)],
        ignore_conflicts=True,
    )
    DispatchPolicy.objects.create(city=city, version=1, values=POLICY)
    rates = {
        "open": {"base": "1500", "per_km": "25", "per_tonne_km": "4", "min": "2000"},
        "mini": {"base": "500", "per_km": "12", "per_tonne_km": "8", "min": "800"},
        "tipper": {"base": "2500", "per_km": "35", "per_tonne_km": "3.8", "min": "3000"},
    }
    RateCard.objects.create(
        city=city,
        version=1,
        effective_from=datetime(2026, 1, 1, tzinfo=UTC),
        is_demo=True,
        rates=rates,
        multipliers={type_slug: "1.0" for type_slug, *_ in types},
    )
    return city


def make_customer(phone=ASHA, name="Asha"):
    user = User.objects.of_phone(phone)
    user.name = name
    user.save()
    return user


def make_dispatcher(username="devi"):
    return User.objects.create(username=username, name="Devi", is_staff=True)


def make_captain(phone=BALU, name="Balu", vehicles=1, vehicle_type="open-17-ft", **fields):
    """A captain of a verified fleet that is online; returns the Transporter."""
    owner = User.objects.of_phone(phone)
    owner.name = name
    owner.save()
    fleet = Transporter.objects.create(
        owner=owner,
        business_name=f"{name} Transport",
        **{"kyc_status": Kyc.VERIFIED, "is_online": True, **fields},
    )
    for _ in range(vehicles):
        make_vehicle(fleet, vehicle_type)
    return fleet


def make_captains(number, **fields):
    return [
        make_captain(f"+9180{i:08}", f"Captain {i}", **fields)
        for i in (next(_numbers) for _ in range(number))
    ]


def make_vehicle(fleet, vehicle_type="open-17-ft", **fields):
    papers = {
        f"{paper}_expires_on": LONG_VALID
        for paper in ("rc", "permit", "fitness", "insurance", "puc")
    }
    return Vehicle.objects.create(
        transporter=fleet,
        vehicle_type_id=vehicle_type,
        registration=f"KA01X{next(_numbers):05}",
        **{**papers, **fields},
    )


def make_driver(fleet, phone, name="Dinesh"):
    return Driver.objects.create(
        transporter=fleet,
        user=User.objects.of_phone(phone),
        name=name,
        phone=phone,
        licence_number=f"DL{phone[-6:]}",
        licence_expires_on=LONG_VALID,
    )


def place(lat=CENTRE[0], lng=CENTRE[1], name="Asha", phone=ASHA):
    return {
        "lat": lat,
        "lng": lng,
        "address": "12 MG Road",
        "contact": {"name": name, "phone": phone},
    }


def wish(trucks=1, vehicle_type="open-17-ft", **fields):
    """The checked body of a confirm."""
    return {
        "pickup": place(),
        "drop": place(13.05, 77.70, "Ravi", "+919000000009"),
        "stops": [],
        "trucks": trucks
        if isinstance(trucks, list)
        else [{"vehicle_type": vehicle_type, "quantity": trucks}],
        "goods": {"category": "furniture", "description": "a sofa"},
        "payment": {"mode": "cash", "paid_by": "sender"},
        **fields,
    }


def make_order(customer, trucks=1, key="", **fields):
    """A confirmed order; returns its row."""
    order = confirm(customer, wish(trucks, **fields), key).order
    return customer.orders.get(id=order["id"])


def tell_them(order, fleets, number=None):
    """One wave to these fleets; returns their offers in the same order."""
    order.refresh_from_db()
    policy = order.city.policies.latest("version")
    told = [
        Told(
            fleet.id,
            1000 + i,
            [
                {"id": str(v.id), "registration": v.registration, "distance_km": 1.0}
                for v in fleet.vehicles.all()
            ],
        )
        for i, fleet in enumerate(fleets)
    ]
    plan = Plan(order.id, number or order.wave + 1, 0, 5000, policy.id, told, [], "redis", None)
    assert tell(plan)
    return [order.offers.get(transporter=fleet) for fleet in fleets]


def vehicle_ids(fleet):
    return list(fleet.vehicles.order_by("created_at", "id").values_list("id", flat=True))
