"""Goals, their folders and their key results (targets): how they come, change and go.

Each change sends exactly one event without any history (ClickUp docs, goal and target payloads, official); that
deleting a goal tells nothing of its key results is assumed. Goal folders have no event (official list).
"""

from integrations.clickup.simulator import history
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.papers import Goal, GoalFolder, KeyResult
from integrations.clickup.simulator.store import Store


class Goals(Store):
    """The goals' mutations; each returns the event body it causes."""

    def create_goal_folder(self, name: str, *, by: int | None = None) -> GoalFolder:
        """A new folder of goals; no event, so it is returned itself."""
        made = GoalFolder(id=self._paper_ids.uuid(), name=name, creator=self._actor(by).id, created=self.now())
        self.goal_folders[made.id] = made
        return made

    def create_goal(
        self,
        name: str,
        *,
        description: str = "",
        due_date: int | None = None,
        folder_id: str | None = None,
        by: int | None = None,
    ) -> list[Body]:
        """A new goal without key results, in a folder or in none."""
        at = self.now()
        made = Goal(
            id=self._ids.uuid(),
            number=1 + max((one.number for one in self.goals.values()), default=0),
            name=name,
            description=description,
            creator=self._actor(by).id,
            created=at,
            updated=at,
            due_date=due_date,
            folder_id=None if folder_id is None else self.goal_folders[folder_id].id,
        )
        self.goals[made.id] = made
        return [history.event("goalCreated", {"goal_id": made.id})]

    def update_goal(self, goal_id: str, *, name: str | None = None, description: str | None = None) -> list[Body]:
        """A goal gets another name or description."""
        goal = self.goals[goal_id]
        goal.name = goal.name if name is None else name
        goal.description = goal.description if description is None else description
        goal.updated = self.now()
        return [history.event("goalUpdated", {"goal_id": goal_id})]

    def delete_goal(self, goal_id: str) -> list[Body]:
        """A goal goes with its key results."""
        del self.goals[goal_id]
        return [history.event("goalDeleted", {"goal_id": goal_id})]

    def create_key_result(
        self, goal_id: str, name: str, *, unit: str = "steps", end: int = 100, by: int | None = None
    ) -> list[Body]:
        """A goal gets a target, counted from 0."""
        goal = self.goals[goal_id]
        made = KeyResult(
            id=self._ids.uuid(),
            goal_id=goal_id,
            name=name,
            unit=unit,
            creator=self._actor(by).id,
            created=self.now(),
            start=0,
            current=0,
            end=end,
        )
        goal.key_results[made.id] = made
        return self._key_result("keyResultCreated", goal, made.id)

    def update_key_result(
        self, goal_id: str, key_result_id: str, *, name: str | None = None, current: int | None = None
    ) -> list[Body]:
        """A target gets another name, or progresses."""
        goal = self.goals[goal_id]
        result = goal.key_results[key_result_id]
        result.name = result.name if name is None else name
        result.current = result.current if current is None else current
        return self._key_result("keyResultUpdated", goal, key_result_id)

    def delete_key_result(self, goal_id: str, key_result_id: str) -> list[Body]:
        """A target goes."""
        goal = self.goals[goal_id]
        del goal.key_results[key_result_id]
        return self._key_result("keyResultDeleted", goal, key_result_id)

    def _key_result(self, name: str, goal: Goal, key_result_id: str) -> list[Body]:
        goal.updated = self.now()
        return [history.event(name, {"goal_id": goal.id, "key_result_id": key_result_id})]
