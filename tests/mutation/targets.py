"""The modules that are mutated, and the tests that may notice."""

MODULES = [
    "orders/pricing.py",
    "orders/states.py",
    "orders/verbs/accept.py",
    "orders/verbs/confirm.py",
    "orders/verbs/give_back.py",
    "orders/verbs/cancel.py",
    "orders/verbs/expire.py",
    "orders/verbs/steps.py",
    "orders/verbs/tell.py",
    "orders/verbs/fail.py",
    "orders/verbs/decline.py",
    "orders/verbs/withdraw.py",
    "orders/verbs/drive.py",
    "orders/verbs/new_code.py",
    "orders/verbs/rate.py",
    "orders/verbs/settle.py",
    "orders/verbs/flag.py",
]
TESTS = [
    "tests/orders/test_accept.py",
    "tests/orders/test_cancel.py",
    "tests/orders/test_confirm.py",
    "tests/orders/test_confirm_body.py",
    "tests/orders/test_decline.py",
    "tests/orders/test_drive.py",
    "tests/orders/test_equation.py",
    "tests/orders/test_expire.py",
    "tests/orders/test_facts.py",
    "tests/orders/test_fail.py",
    "tests/orders/test_flag.py",
    "tests/orders/test_give_back.py",
    "tests/orders/test_new_code.py",
    "tests/orders/test_pricing.py",
    "tests/orders/test_quotes.py",
    "tests/orders/test_rate.py",
    "tests/orders/test_rules.py",
    "tests/orders/test_search.py",
    "tests/orders/test_states.py",
    "tests/orders/test_steps.py",
    "tests/orders/test_tell.py",
    "tests/orders/test_transactions.py",
    "tests/orders/test_trips.py",
    "tests/orders/test_withdraw.py",
    "tests/races/test_races.py",
    "tests/dispatch/test_waves.py",
    "tests/test_house.py::test_the_diagrams_of_the_architecture_are_those_of_the_machines",
    "tests/test_house.py::test_the_database_allows_the_moves_of_the_machine_and_no_other",
]


OF_VERBS = "tests/orders/test_transactions.py"


def own_tests(path):
    """The test files of a module; what happens on a trip is tested together."""
    own = f"tests/orders/test_{path.rpartition('/')[2]}"
    return (own, "tests/orders/test_trips.py", OF_VERBS)
