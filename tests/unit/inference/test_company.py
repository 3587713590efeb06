"""Whoever has a place takes others of its kind along, as far as the rows go; what it cannot serve is sent back."""

from __future__ import annotations

from secure_ml_api.inference.admission import Admission
from secure_ml_api.inference.deadline import Deadline
from secure_ml_api.inference.ticket import Standing, Ticket
from support.gated import until
from support.queueing import LONG, Crowd, leading, started


def test_company_is_taken_in_order_as_far_as_the_rows_go_and_no_smaller_one_goes_first() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree", rows=2)
    sizes = [("a", "tree", 3), ("b", "forest", 1), ("c", "tree", 4), ("d", "tree", 2), ("e", "tree", 1)]
    tickets = {name: crowd.queue(name, kind, rows) for name, kind, rows in sizes}
    company = admission.company(leader, 10)
    assert company == [tickets["a"], tickets["c"]]
    assert admission.waiting == 3
    admission.leave()
    admission.serve(company)
    crowd.disperse()
    assert crowd.seated == ["b", "d", "e"]
    assert [tickets[name].standing for name in "ac"] == [Standing.SERVED, Standing.SERVED]


def test_kinds_are_told_apart_by_identity_and_none_goes_with_nobody() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, kind := frozenset("tree"))
    for name, other in (("a", frozenset("tree")), ("b", None)):
        crowd.queue(name, other)
    same = crowd.queue("c", kind)
    assert admission.company(leader, 10) == [same]
    admission.serve([same])
    admission.leave()
    crowd.disperse()
    assert crowd.seated == ["a", "b"]


def test_who_is_late_is_not_taken_along() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    late, good = crowd.queue("a", "tree"), crowd.queue("b", "tree")
    late.deadline = Deadline.after(-1.0)
    assert admission.company(leader, 10) == [good]
    admission.serve([good])
    admission.leave()
    crowd.disperse()
    assert crowd.refused == ["a"]


def test_company_that_is_sent_back_comes_first_in_its_order_and_goes_alone() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    for name, kind in (("a", "tree"), ("b", "forest"), ("c", "tree")):
        crowd.queue(name, kind)
    company = admission.company(leader, 10)
    crowd.queue("d", "tree")
    admission.send_back(company)
    assert [ticket.kind for ticket in company] == [None, None]
    admission.leave()
    crowd.disperse()
    assert crowd.seated == ["a", "c", "b", "d"]


def test_company_that_is_sent_back_takes_the_places_that_are_free() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    crowd.queue("a", "tree")
    company = admission.company(leader, 10)
    admission.leave()
    admission.send_back(company)
    crowd.disperse()
    assert crowd.seated == ["a"]


def test_who_gave_up_in_another_s_run_is_neither_served_nor_sent_back() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    gone = crowd.queue("a", "tree")
    company = admission.company(leader, 10)
    admission._give_up(gone)
    admission.serve(company)
    admission.send_back(company)
    assert gone.standing is Standing.LATE
    assert admission.waiting == 0
    gone.gate.release()
    admission.leave()
    crowd.disperse()
    assert crowd.refused == ["a"]


def test_whoever_lingers_keeps_nobody_else_from_a_free_place() -> None:
    admission = Admission(2, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    taken: list[list[Ticket]] = []
    lingering = started(lambda: taken.append(admission.company(leader, 2, LONG)))
    until(lambda: "tree" in admission._lingering)
    other = Ticket(Deadline.after(LONG), "forest")
    assert admission.enter(other)
    company = crowd.queue("a", "tree")
    lingering.join(LONG)
    assert taken == [[company]]
    admission.serve(taken[0])
    admission.leave()
    admission.leave()
    crowd.disperse()
    assert admission._free == 2


def test_those_who_do_not_fit_a_run_that_lingered_take_the_free_places() -> None:
    admission = Admission(2, 10)
    crowd = Crowd(admission)
    leader = leading(admission, "tree")
    taken: list[list[Ticket]] = []
    lingering = started(lambda: taken.append(admission.company(leader, 3, LONG)))
    until(lambda: "tree" in admission._lingering)
    crowd.queue("big", "tree", rows=3)
    lingering.join(LONG)
    crowd.disperse()
    assert (taken, crowd.seated) == ([[]], ["big"])
    admission.leave()
    assert admission._free == 2
