"""The simulated ClickUp workspace: one model that the API reads, stories change, and deliveries tell of.

`Workspace(seed=..., clock=...)` starts with its members and nothing else. A mutation changes the model, bumps
`date_updated`, and returns the webhook bodies ClickUp would send for it, companions included, without `webhook_id`.
The first body is the action's own and carries the id of what was made. The same seed, clock and calls give the
same ids and bodies. Not thread-safe: one event loop owns it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from integrations.clickup.simulator.comments import Conversation
from integrations.clickup.simulator.docs import Docs
from integrations.clickup.simulator.goals import Goals
from integrations.clickup.simulator.ids import Ids
from integrations.clickup.simulator.records import SUSPEND_AT, Place, Webhook
from integrations.clickup.simulator.silent import SilentEdits
from integrations.clickup.simulator.structure import Structure
from integrations.clickup.simulator.time_tracking import TimeTracking
from integrations.clickup.simulator.trash import Trash


class DuplicateWebhookError(Exception):
    """A webhook for this endpoint and location already exists: register nothing, reconcile what is there."""


class Workspace(Structure, TimeTracking, SilentEdits, Conversation, Goals, Docs, Trash):
    """Spaces, folders, lists, tasks, comments, goals, docs and the webhooks registered on them."""

    def __init__(self, *, seed: int, clock: Callable[[], datetime]) -> None:
        super().__init__(seed=seed, clock=clock)
        self._hook_ids = Ids(self.random_for("webhooks"))
        self.disabled: set[int] = set()

    def add_webhook(
        self,
        endpoint: str,
        *,
        events: Sequence[str] = ("*",),
        scope: Place | None = None,
        userid: int | None = None,
    ) -> Webhook:
        """Register a webhook; its id and secret never shift the ids of the story.

        Raises:
            DuplicateWebhookError: the user has one for the same endpoint and location already (official; that the
                event names do not matter for it is assumed).
        """
        owner = self.owner.id if userid is None else userid
        location = scope or Place()
        taken = [(one.userid, one.endpoint, one.scope) for one in self.webhooks.values()]
        if (owner, endpoint, location) in taken:
            raise DuplicateWebhookError(endpoint)
        return self._new_webhook(endpoint, tuple(events), location, owner)

    def webhooks_of(self, userid: int) -> list[Webhook]:
        """The webhooks this user made; ClickUp shows nobody another's (official)."""
        return [one for one in self.webhooks.values() if one.userid == userid]

    def duplicate_webhook(self, hook_id: str) -> Webhook:
        """A second hook just like this one, however it came about: what OAUTH_171 is there to prevent."""
        hook = self.webhooks[hook_id]
        return self._new_webhook(hook.endpoint, hook.events, hook.scope, hook.userid)

    def suspend_webhook(self, hook_id: str) -> None:
        """Too many events of a hook were lost."""
        hook = self.webhooks[hook_id]
        hook.status, hook.fail_count = "suspended", SUSPEND_AT

    def change_secret(self, hook_id: str) -> str:
        """A hook is signed with another secret from now on, which listings show; nothing tells of it (assumed)."""
        hook = self.webhooks[hook_id]
        hook.secret = self._hook_ids.secret()
        return hook.secret

    def delete_webhook(self, hook_id: str) -> None:
        """Somebody deletes a hook by hand; what is on its way to it is not sent."""
        del self.webhooks[hook_id]

    def disable_member(self, user_id: int) -> None:
        """A member is disabled: hooks of theirs stay, with their health, but stop firing (official).

        That their tokens are refused as unknown, and that what happens meanwhile is never sent, is assumed.
        """
        self.disabled.add(self.members[user_id].id)

    def enable_member(self, user_id: int) -> None:
        """A disabled member may act again; their hooks fire again and their tokens are good."""
        self.disabled.discard(user_id)

    def _new_webhook(self, endpoint: str, events: tuple[str, ...], scope: Place, owner: int) -> Webhook:
        ids = self._hook_ids
        made = Webhook(
            id=ids.uuid(),
            secret=ids.secret(),
            userid=owner,
            endpoint=endpoint,
            events=events,
            client_id=ids.secret()[:32],
            scope=scope,
        )
        self.webhooks[made.id] = made
        return made
