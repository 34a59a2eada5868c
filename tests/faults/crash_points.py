"""The lines at which the tests kill a process, and how much the verb has done by then."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CrashPoint:
    """Before the one statement of `function` in `module` whose first line begins with `line`.

    `under` names the verb in whose transaction (or its hooks after the commit) the line must be
    reached. `committed`: whether all of the verb is done by then; otherwise nothing is.
    """

    when: str
    module: str
    function: str
    line: str
    under: str = ""
    committed: bool = False

    @property
    def place(self):
        return f"{self.module}:{self.function}:{self.line}"


def shared(verb):
    """The points that every verb passes."""
    finish_all = ("orders.change", "finish_all")
    return [
        CrashPoint("between the rows and the messages", *finish_all, "deliver(", verb),
        CrashPoint(
            "after its commit and before the hint",
            *("weelo.lib.hints", "Batch.publish", "with guarded()", verb),
            committed=True,
        ),
    ]


def inside(verb, first, last, *, module="", function=""):
    """With the lock and before any write, and after the messages before the commit."""
    where = (f"orders.verbs.{module or verb}", function or verb)
    return [
        CrashPoint("with its lock and before any write", *where, first),
        CrashPoint("after its messages and before the commit", *where, last),
    ]


def before_the_answer(module, function, line):
    return CrashPoint("before the answer", module, function, line, committed=True)


CONFIRM = [
    CrashPoint(
        "with the courtesy lock", "orders.verbs.confirm", "confirm", "return _confirm(customer"
    ),
    *inside("confirm", "change.finish()", "return Confirmed(", function="_write"),
    *shared("confirm"),
    before_the_answer("orders.views", "OrdersView.post", "return Response("),
]
ACCEPT = [
    *inside("accept", "won = [", 'log.info("trucks won"', function="_accept"),
    *shared("accept"),
    before_the_answer("orders.trip_views", "AcceptView.post", "return Response("),
]
GIVE_BACK = [
    *inside("give_back", "change.expire_overdue()", 'log.info("truck given back"'),
    *shared("give_back"),
]
CANCEL = [
    *inside("cancel", "change.expire_overdue()", 'log.info("order cancelled"'),
    *shared("cancel"),
    before_the_answer("orders.views", "CancelOrderView.post", "return Response("),
]
STEP = [
    *inside("steps", "change.expire_overdue()", 'log.info("trip step"', function="_step"),
    *shared("steps"),
]
EXPIRE_ONE = [
    *inside("expire", "if not change.expire_overdue()", "_log(change)"),
    *shared("expire"),
]
# Orders of which a truck was won, and those of which none was.
EXPIRE_WON = [
    *inside("expire", "change.expire_overdue()", "_log(change)", function="_expire_together"),
    *shared("expire"),
]
EXPIRE_UNWON = [
    *inside("expire", "unwon.expire(", 'log.info("orders expired"', function="_expire_together"),
    CrashPoint(
        "between the rows and the messages", "orders.unwon", "expire", "deliver_selected(", "expire"
    ),
    shared("expire")[-1],
]
TELL = [
    *inside("tell", "change.add(_wave(", "return True"),
    *shared("tell"),
    CrashPoint(
        "after its hint and before it is logged",
        *("dispatch.waves", "Look.tell", "if sent:"),
        committed=True,
    ),
]
EXPIRY = [*EXPIRE_ONE, *EXPIRE_WON, *EXPIRE_UNWON]
ALL = [*CONFIRM, *ACCEPT, *GIVE_BACK, *CANCEL, *STEP, *EXPIRY, *TELL]
