"""The bodies of confirms that the soak sends."""

VEHICLE_TYPE = "open-17-ft"
CONTACT = {"name": "Ravi", "phone": "+919000000009"}


def wish(pickup, trucks=1, vehicle_type=VEHICLE_TYPE):
    """Trucks from `pickup`, a (lat, lng), to a place in Bengaluru."""
    here = {"lat": pickup[0], "lng": pickup[1], "address": "12 MG Road", "contact": CONTACT}
    there = {"lat": 13.05, "lng": 77.70, "address": "Depot", "contact": CONTACT}
    return {
        "pickup": here,
        "drop": there,
        "trucks": [{"vehicle_type": vehicle_type, "quantity": trucks}],
        "goods": {"category": "furniture"},
        "payment": {"mode": "cash", "paid_by": "sender"},
    }
