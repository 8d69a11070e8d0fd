"""Time: estimates of tasks, time logged on them, timers that run.

The events and their shapes are ClickUp docs, task payload pages (official), where they say so.
"""

from integrations.clickup.simulator import history
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.papers import TimeEntry
from integrations.clickup.simulator.records import Task
from integrations.clickup.simulator.tasks import TaskEdits


class TimeTracking(TaskEdits):
    """The mutations of estimates and time entries; each returns the event bodies it causes."""

    def set_time_estimate(self, task_id: str, milliseconds: int | None, *, by: int | None = None) -> list[Body]:
        """A task gets an estimate, or none."""
        task, user = self.tasks[task_id], self._actor(by)
        before, task.time_estimate = task.time_estimate, milliseconds
        share = {
            "userid": user.id,
            "user_time_estimate": str(milliseconds or 0),
            "user_rollup_time_estimate": str(milliseconds or 0),
        }
        data = {
            "time_estimate_string": history.duration_text(milliseconds),
            "old_time_estimate_string": history.duration_text(before),
            "rolled_up_time_estimate": milliseconds or 0,
            "time_estimate": milliseconds or 0,
            "time_estimates_by_user": [share],
        }
        return self._changed(
            task,
            "taskTimeEstimateUpdated",
            "time_estimate",
            by,
            data=data,
            before=history.text(before),
            after=history.text(milliseconds),
        )

    def track_time(self, task_id: str, milliseconds: int, *, by: int | None = None) -> list[Body]:
        """Somebody logs time that ends now; the specific event alone has a top-level `data` (official sample)."""
        task, at = self.tasks[task_id], self.now()
        task.time_spent = (task.time_spent or 0) + milliseconds
        entry = self._entry(task_id, at - milliseconds, at, by)
        return self._tracked(task, entry, by, "Time Tracking Created", before=None, after=history.interval(entry))

    def delete_time_entry(self, entry_id: str, *, by: int | None = None) -> list[Body]:
        """Logged time is taken back; that this sends what logging sends, with these words, is assumed."""
        entry = self.time_entries.pop(entry_id)
        del self._entries_on[entry.task_id][entry_id]
        if entry.task_id is None:
            return []
        task = self.tasks[entry.task_id]
        rest = sum((one.end or one.start) - one.start for one in self.entries_on(task.id))
        task.time_spent = rest or None
        return self._tracked(task, entry, by, "Time Tracking Deleted", before=history.interval(entry), after=None)

    def start_timer(self, task_id: str | None = None, *, by: int | None = None) -> list[Body]:
        """A timer starts, on a task or on none; the entry's duration is negative while it runs. No event (assumed)."""
        self._entry(None if task_id is None else self.tasks[task_id].id, self.now(), None, by)
        return []

    def _entry(self, task_id: str | None, start: int, end: int | None, by: int | None) -> TimeEntry:
        entry_id = self._ids.number("history")
        made = TimeEntry(id=entry_id, task_id=task_id, user=self._actor(by).id, start=start, end=end, added=self.now())
        self.insert_entry(made)
        return made

    def _tracked(self, task: Task, entry: TimeEntry, by: int | None, words: str, **sides: Body | None) -> list[Body]:
        total = str(task.time_spent or 0)
        data = {"total_time": total, "rollup_time": total}
        bodies = self._changed(task, "taskTimeTrackedUpdated", "time_spent", by, data=data, **sides)
        bodies[0]["data"] = {"description": words, "interval_id": entry.id}
        return bodies
