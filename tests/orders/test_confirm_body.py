"""What a confirm may leave out."""

from orders.serializers import ConfirmSerializer
from tests.people import wish


def test_without_a_payment_the_sender_pays_cash():
    body = {key: value for key, value in wish().items() if key != "payment"}
    checked = ConfirmSerializer(data=body)
    assert checked.is_valid(), checked.errors
    assert checked.validated_data["payment"] == {"mode": "cash", "paid_by": "sender"}
