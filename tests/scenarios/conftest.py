"""A town, phones over HTTP, and the audit, which finds nothing after any scenario."""

import pytest

from dispatch.audit import audit
from tests import people
from tests.accounts.doors import sign_in
from tests.events import fcm as fake
from tests.orders.conftest import asha, balu, chitra
from tests.scenarios.site import Desk, Ear, Line
from tests.transporters.conftest import fresh_presence
from tests.valkey import Valkey
from weelo.accounts.models import User
from weelo.lib.redis import breaker

__all__ = ["asha", "balu", "chitra", "fresh_presence"]


@pytest.fixture(autouse=True)
def audited(request, fresh_presence):
    """After every scenario the audit is clean, on whichever database it ran."""
    at_site = "at_site" in request.fixturenames  # its processes are real
    request.getfixturevalue("at_site" if at_site else "db")
    yield
    assert {found.invariant.name: found.rows for found in audit() if found.rows} == {}


@pytest.fixture(scope="module")
def fcm():
    """An FCM on loopback that speaks the real protocol."""
    fcm, server = fake.serve()
    yield fcm
    server.shutdown()
    server.server_close()


@pytest.fixture
def phone():
    """Signs somebody in: `phone(asha)`, or `phone(balu)` for the captain of a fleet."""
    return lambda who: sign_in(getattr(who, "owner", who).phone)[0]


@pytest.fixture
def desk(client, db):
    """The browser of Devi the dispatcher, signed in to the admin."""
    devi = people.make_dispatcher()
    User.objects.filter(id=devi.id).update(is_superuser=True)
    client.force_login(devi, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def at_site(site, django_db_blocker):
    """The test's own connection leads to the site's database; returns the site."""
    with django_db_blocker.unblock(), site.django():
        yield site


@pytest.fixture
def dial(at_site):
    """Lines of phones to the site: `dial(asha)`; `dial(asha, apart_from=line)` goes to another
    process. All are hung up at the end."""
    lines = []

    def dial(who, apart_from=None):
        user = getattr(who, "owner", who)
        lines.append(Line(at_site, user))
        while apart_from is not None and lines[-1].process() == apart_from.process():
            lines.append(Line(at_site, user))
        return lines[-1]

    yield dial
    for line in lines:
        line.http.close()


@pytest.fixture
def listen(at_site):
    """Sockets of phones to the site: `listen(asha)`, `listen(balu)`; `listen(ear)` comes back.
    `apart_from=ear` is with another process. All are closed at the end."""
    ears = []

    def listen(who, apart_from=None):
        ears.append(Ear(at_site, who))
        while apart_from is not None and ears[-1].process() == apart_from.process():
            ears[-1].close()
            ears.append(Ear(at_site, who))
        return ears[-1]

    yield listen
    for ear in ears:
        ear.close()


@pytest.fixture
def office(at_site):
    """The desk of a dispatcher at the site."""
    desk = Desk(at_site)
    yield desk
    desk.http.close()


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory):
    """For a site whose Redis is to be killed; give it `REDIS_URL=own_valkey.url`."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.end()


@pytest.fixture
def valkey(own_valkey, at_site, settings):
    """The site's own, which the test's own verbs use too: it is one more process of the site."""
    cache = {**settings.CACHES["default"], "LOCATION": own_valkey.url}
    settings.CACHES = {"default": cache}
    yield own_valkey
    own_valkey.be_well()
    breaker.succeeded()
