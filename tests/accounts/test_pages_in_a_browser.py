"""The pages for people in a real browser: they work, and it refuses nothing that they carry."""

import pytest
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.browser import CHROMIUM, browser
from tests.people import make_captain, make_customer, make_order, tell_them
from tests.running import running
from weelo.accounts.models import User

PASSWORD = "a long pass phrase"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def site():
    with running(services=("http",)) as site:
        yield site


@pytest.fixture
def tab(tmp_path, site):
    with browser(tmp_path) as tab:
        yield tab


@pytest.fixture
def town(site, django_db_blocker):
    """Devi and one order that a captain was told of, in the site's database."""
    with django_db_blocker.unblock(), site.django():
        devi = User.objects.create_superuser("devi", PASSWORD)
        order = make_order(make_customer())
        tell_them(order, [make_captain()])
        yield devi, order
        devi.logentry_set.all().delete()


def sign_in(tab, site, code=""):
    tab.open(f"{site.api}/admin/")
    tab.type("#id_username", "devi")
    tab.type("#id_password", PASSWORD)
    tab.type("#id_code", code)
    tab.click("[type=submit]")


def test_a_dispatcher_signs_in_looks_intervenes_and_enrols_an_authenticator(tab, site, town):
    devi, order = town
    sign_in(tab, site)
    assert tab.run("document.querySelector('#user-tools strong').innerText") == "DEVI"
    for path in (
        "orders/order/",
        f"orders/order/{order.id}/change/",
        f"orders/order/{order.id}/cancel/",
        "orders/trip/",
        "accounts/user/",
        f"accounts/user/{devi.pk}/change/",
        "cities/ratecard/add/",
        "transporters/transporter/",
    ):
        tab.open(f"{site.api}/admin/{path}")
        assert tab.run("document.querySelector('#content h1, #content-main') !== null"), path
    tab.open(f"{site.api}/admin/authenticator/")
    assert tab.run("document.querySelector('#content-main img').naturalWidth") > 100
    key = TOTPDevice.objects.get(user=devi).bin_key
    tab.type("#id_code", f"{totp(key):06}")
    tab.click("[type=submit].default")
    assert TOTPDevice.objects.get(user=devi).confirmed
    assert tab.run("document.querySelector('.messagelist').innerText") != ""
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        ("/api/docs/", "document.querySelectorAll('.opblock').length > 20"),
        ("/api/realtime/", "getComputedStyle(document.body).display == 'flex'"),
    ],
)
def test_the_documents_show_themselves(tab, site, path, is_there):
    tab.open(site.api + path)
    tab.until(is_there)
    assert tab.complaints == []
