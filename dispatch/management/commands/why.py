"""manage.py why ORDER TRANSPORTER: why a transporter was told of an order, or was not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from dispatch.why import why
from orders.lookup import ids_starting_with, orders_for
from orders.models import Order
from transporters.models import Transporter
from weelo.accounts.phones import BadPhone, e164


class Command(BaseCommand):
    """One sentence on standard output."""

    help = "Says in one sentence why a transporter was told of an order, or was not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="the order's id, or its start as the lists show it")
        parser.add_argument("transporter", help="the transporter's id, or its captain's phone")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(why(_order(options["order"]), _fleet(options["transporter"])).sentence)


def _order(term: str) -> Order:
    found = list(orders_for(term)[:2]) if ids_starting_with(term) else []
    if len(found) != 1:
        number = "no order" if not found else "more than one order"
        raise CommandError(f"{number} begins with {term!r}. Give the whole id.")
    return found[0]


def _fleet(term: str) -> Transporter:
    wanted = Q(pk__in=[])
    if span := ids_starting_with(term):
        wanted |= Q(id__range=span)
    try:
        wanted |= Q(owner__phone=e164(term, mobile=False))
    except BadPhone:
        pass
    found = list(Transporter.objects.filter(wanted).select_related("owner")[:2])
    if len(found) != 1:
        number = "no transporter" if not found else "more than one transporter"
        raise CommandError(f"{number} has {term!r} as id or phone. Give the whole id.")
    return found[0]
