"""What a person may decide: doubts and dead letters; and who may not."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from ctrader_app.domain.operations import State
from ctrader_app.models import DeadLetter, Operation, OperationTransition
from ctrader_app.operations import dead_letters
from ctrader_app.operations.dead_letters import CannotReplayError
from tests.admin.conftest import staff

pytestmark = pytest.mark.django_db


def settle_url(operation: Operation) -> str:
    return reverse("admin:ctrader_app_operation_settle", args=[operation.pk])


def said(answer: Any) -> str:
    """What the person is told. ``answer`` is the test client's own kind of response."""
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


class TestDoubts:
    def test_the_page_leads_to_the_decision(self, boss: Client, doubt: Operation) -> None:
        page = boss.get(reverse("admin:ctrader_app_operation_change", args=[doubt.pk])).content.decode()
        assert settle_url(doubt) in page
        form = boss.get(settle_url(doubt)).content.decode()
        assert "cid-of-the-doubt" in form
        assert "<strong>LIVE</strong>" in form

    def test_it_happened(self, boss: Client, doubt: Operation) -> None:
        answer = boss.post(settle_url(doubt), {"decision": "happened", "venue_id": "4711", "is_sure": "on"})
        assert answer.status_code == 302
        doubt.refresh_from_db()
        assert doubt.state == State.SUCCEEDED
        assert doubt.result is not None
        assert doubt.result["opened_position_ticket"] == 4711
        step = OperationTransition.objects.filter(operation=doubt).last()
        assert step is not None
        assert (step.to_state, step.actor) == ("succeeded", "boss")
        assert "4711" in LogEntry.objects.get().change_message

    def test_it_did_not_happen(self, boss: Client, doubt: Operation) -> None:
        boss.post(settle_url(doubt), {"decision": "not_happened", "is_sure": "on"})
        doubt.refresh_from_db()
        assert doubt.state == State.FAILED
        step = OperationTransition.objects.filter(operation=doubt).last()
        assert step is not None
        assert step.actor == "boss"

    def test_ask_again_decides_nothing_by_hand(self, boss: Client, doubt: Operation, settings: Settings) -> None:
        settings.CTRADER_READ_TIMEOUT_SECONDS = 0.2
        answer = boss.post(settle_url(doubt), {"decision": "ask_again"})
        doubt.refresh_from_db()
        assert (doubt.state, doubt.resolutions) == (State.IN_DOUBT, 1)
        assert "in doubt" in said(answer)

    @pytest.mark.parametrize(
        "decision",
        [
            {},
            {"decision": "happened", "venue_id": "4711"},
            {"decision": "happened", "is_sure": "on"},
            {"decision": "not_happened"},
            {"decision": "delete it"},
            {"decision": "happened", "venue_id": "9" * 65, "is_sure": "on"},
        ],
    )
    def test_a_final_decision_is_not_made_by_accident(
        self, boss: Client, doubt: Operation, decision: dict[str, str]
    ) -> None:
        assert boss.post(settle_url(doubt), decision).status_code == 200
        doubt.refresh_from_db()
        assert doubt.state == State.IN_DOUBT

    @pytest.mark.parametrize("decision", ["happened", "not_happened", "ask_again"])
    def test_is_not_for_those_who_may_only_look(
        self, viewer: Client, customer: Client, doubt: Operation, decision: str
    ) -> None:
        page = viewer.get(reverse("admin:ctrader_app_operation_change", args=[doubt.pk])).content.decode()
        assert settle_url(doubt) not in page
        data = {"decision": decision, "venue_id": "4711", "is_sure": "on"}
        assert viewer.get(settle_url(doubt)).status_code == 403
        assert viewer.post(settle_url(doubt), data).status_code == 403
        assert customer.post(settle_url(doubt), data).status_code == 302
        assert Client().post(settle_url(doubt), data).status_code == 302
        doubt.refresh_from_db()
        assert (doubt.state, doubt.resolutions) == (State.IN_DOUBT, 0)

    def test_the_change_permission_is_enough(self, doubt: Operation) -> None:
        staff("clerk", "change").post(settle_url(doubt), {"decision": "not_happened", "is_sure": "on"})
        doubt.refresh_from_db()
        assert doubt.state == State.FAILED

    def test_what_is_settled_stays_so(self, boss: Client, doubt: Operation) -> None:
        Operation.objects.filter(pk=doubt.pk).update(state=State.SUCCEEDED.value)
        answer = boss.post(settle_url(doubt), {"decision": "not_happened", "is_sure": "on"})
        assert answer.status_code == 302
        assert "no doubt to settle" in said(answer)
        doubt.refresh_from_db()
        assert doubt.state == State.SUCCEEDED

    def test_an_unknown_operation_is_not_found(self, boss: Client) -> None:
        url = reverse("admin:ctrader_app_operation_settle", args=["00000000-0000-4000-8000-000000000000"])
        assert boss.get(url).status_code == 404

    def test_a_forged_request_is_refused(self, doubt: Operation, boss: Client) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = boss.cookies
        answer = strict.post(settle_url(doubt), {"decision": "not_happened", "is_sure": "on"})
        assert answer.status_code == 403
        doubt.refresh_from_db()
        assert doubt.state == State.IN_DOUBT


class TestDeadLetters:
    @pytest.fixture
    def letter(self, db: None) -> DeadLetter:
        body = b'{"payload": {"note": "<img src=x onerror=alert(1)>"}}'
        return DeadLetter.objects.create(
            reason="WRONG_SHAPE", routing_key="price.tick", body=body, size=len(body), headers={"h": "<b>"}
        )

    def act(self, client: Client, action: str, letter: DeadLetter) -> HttpResponse:
        url = reverse("admin:ctrader_app_deadletter_changelist")
        answer = client.post(url, {"action": action, "_selected_action": [str(letter.pk)]})
        assert isinstance(answer, HttpResponse)
        return answer

    def test_the_body_is_shown_as_text_and_indented(self, viewer: Client, letter: DeadLetter) -> None:
        page = viewer.get(reverse("admin:ctrader_app_deadletter_change", args=[letter.pk])).content.decode()
        assert "&quot;note&quot;: &quot;&lt;img src=x onerror=alert(1)&gt;&quot;" in page
        assert "<img src=x" not in page
        assert "{\n  &quot;payload&quot;" in page

    @pytest.mark.parametrize(
        ("body", "shown"),
        [(b"\xff\xfe<script>", "\\xff\\xfe&lt;script&gt;"), (b"[" * 50_000, "[[[["), (b"", "<pre></pre>")],
    )
    def test_a_body_that_is_no_json_is_shown_too(self, viewer: Client, body: bytes, shown: str) -> None:
        letter = DeadLetter.objects.create(reason="NOT_JSON", body=body, size=len(body))
        answer = viewer.get(reverse("admin:ctrader_app_deadletter_change", args=[letter.pk]))
        assert answer.status_code == 200
        assert shown in answer.content.decode()

    def test_replay_and_its_refusals(self, boss: Client, letter: DeadLetter, monkeypatch: pytest.MonkeyPatch) -> None:
        replayed: list[int] = []

        def replay(pk: int) -> None:
            if replayed:
                raise CannotReplayError("it was replayed before")
            replayed.append(pk)

        monkeypatch.setattr(dead_letters, "replay", replay)
        assert "1 dead letters replayed" in said(self.act(boss, "replay", letter))
        assert replayed == [letter.pk]
        assert "it was replayed before" in said(self.act(boss, "replay", letter))
        assert LogEntry.objects.count() == 1

    def test_discard(self, boss: Client, letter: DeadLetter) -> None:
        self.act(boss, "discard", letter)
        letter.refresh_from_db()
        assert letter.status == DeadLetter.Status.DISCARDED
        assert "before" in said(self.act(boss, "discard", letter))

    @pytest.mark.parametrize("action", ["replay", "discard"])
    def test_is_not_for_those_who_may_only_look(self, viewer: Client, letter: DeadLetter, action: str) -> None:
        assert (
            f'value="{action}"' not in viewer.get(reverse("admin:ctrader_app_deadletter_changelist")).content.decode()
        )
        self.act(viewer, action, letter)
        letter.refresh_from_db()
        assert letter.status == DeadLetter.Status.NEW
