"""Comments on tasks and lists, and the replies in their threads: posting, editing, removing.

A post and its edits share history id and date, and each has a companion taskUpdated with the same item (official
samples). Removing or resolving a comment has no event, nor has anything about a list's (official list). Replies send
what comments send (assumed).
"""

from integrations.clickup.simulator import history
from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.records import Comment
from integrations.clickup.simulator.store import Store


class Conversation(Store):
    """The comments' mutations; each returns the event bodies it causes."""

    def post_comment(
        self, task_id: str, text: str, *, reply_to: str | None = None, by: int | None = None
    ) -> list[Body]:
        """A new comment, or a reply in the thread of a top-level one."""
        if reply_to is not None and self.comments[reply_to].task_id != task_id:
            raise ValueError(f"comment {reply_to} is not on task {task_id}")
        comment = self._comment(self.tasks[task_id].id, text, reply_to, by)
        return self._told("taskCommentPosted", comment)

    def comment_on_list(self, list_id: str, text: str, *, by: int | None = None) -> Comment:
        """A new comment on a list; no event, so it is returned itself."""
        return self._comment(self.lists[list_id].id, text, None, by)

    def edit_comment(self, comment_id: str, text: str) -> list[Body]:
        """A comment gets another text, by its author."""
        comment = self.comments[comment_id]
        comment.text = text
        if comment.task_id not in self.tasks:
            return []
        return self._told("taskCommentUpdated", comment)

    def delete_comment(self, comment_id: str) -> list[Body]:
        """A comment goes with its replies; no event."""
        comment = self.comments[comment_id]
        for one in (*self.replies_to(comment_id), comment):
            del self._comments_on[one.task_id][one.id]
            del self.comments[one.id]
        self._replies_to.pop(comment_id, None)
        if comment.reply_to is not None:
            del self._replies_to[comment.reply_to][comment_id]
        return self._silent(comment)

    def resolve_comment(self, comment_id: str, *, resolved: bool = True) -> list[Body]:
        """A comment is done with, or no longer; no event."""
        comment = self.comments[comment_id]
        comment.resolved = resolved
        return self._silent(comment)

    def _silent(self, comment: Comment) -> list[Body]:
        if comment.task_id in self.tasks:
            self._touch(self.tasks[comment.task_id])
        return []

    def _comment(self, parent_id: str, text: str, reply_to: str | None, by: int | None) -> Comment:
        made = Comment(
            id=self._ids.number("comment"),
            task_id=parent_id,
            text=text,
            user=self._actor(by).id,
            date=self.now(),
            history_id=self._ids.number("history"),
            block_id="block-" + self._ids.uuid(),
            reply_to=reply_to,
        )
        self.insert_comment(made)
        return made

    def _told(self, name: str, comment: Comment) -> list[Body]:
        task, user = self.tasks[comment.task_id], self.members[comment.user]
        self._touch(task)
        change = history.item(
            comment.history_id,
            comment.date,
            "comment",
            task.list_id,
            user,
            before=None,
            after=comment.id,
            comment=history.comment_value(comment, user, len(self.replies_to(comment.id))),
        )
        return [history.event(one, {"task_id": task.id}, [change]) for one in (name, "taskUpdated")]
