"""A town, phones over HTTP, and the audit, which finds nothing after any scenario."""

import pytest

from dispatch.audit import audit
from tests import people
from tests.accounts.doors import sign_in
from tests.orders.conftest import asha, balu, chitra
from tests.scenarios.site import Line
from tests.transporters.conftest import fresh_presence
from weelo.accounts.models import User

__all__ = ["asha", "balu", "chitra", "fresh_presence"]


@pytest.fixture(autouse=True)
def audited(request, fresh_presence):
    """After every scenario the audit is clean, on whichever database it ran."""
    at_site = "at_site" in request.fixturenames  # its processes are real
    request.getfixturevalue("at_site" if at_site else "db")
    yield
    assert {found.invariant.name: found.rows for found in audit() if found.rows} == {}


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
