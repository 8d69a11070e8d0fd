"""Docs and their pages: how they come, change and go. ClickUp has no event for any of it (official list).

So every change here is silent, and only a comparison with the API finds it. That a page's change bumps its doc's
`date_updated` is assumed. Deleted docs and pages stay in the model, marked: the API can list the docs.
"""

from integrations.clickup.simulator.history import Body
from integrations.clickup.simulator.papers import Doc, Page
from integrations.clickup.simulator.store import Store

SPACE, FOLDER, LIST, EVERYTHING, WORKSPACE = 4, 5, 6, 7, 12


class Docs(Store):
    """The docs' mutations. What makes something returns it; what changes something returns its events: none."""

    def create_doc(
        self, name: str, parent_id: str | None = None, parent_type: int | None = None, *, by: int | None = None
    ) -> Doc:
        """A new doc without pages, in a space, folder or list, else in the workspace itself."""
        at, number = self.now(), len(self.docs) + 1
        parent_id = self.team_id if parent_id is None else parent_id
        made = Doc(
            id=self._paper_ids.paper(self.team_id),
            number=number,
            name=name,
            parent_id=parent_id,
            parent_type=self._kind_of(parent_id) if parent_type is None else parent_type,
            creator=self._actor(by).id,
            created=at,
            updated=at,
        )
        self.docs[made.id] = made
        return made

    def rename_doc(self, doc_id: str, name: str) -> list[Body]:
        """A doc gets another name; no event."""
        return self._doc_changed(self.docs[doc_id], name=name)

    def move_doc(self, doc_id: str, parent_id: str) -> list[Body]:
        """A doc goes elsewhere; no event."""
        return self._doc_changed(self.docs[doc_id], parent_id=parent_id, parent_type=self._kind_of(parent_id))

    def archive_doc(self, doc_id: str, *, archived: bool = True) -> list[Body]:
        """A doc leaves the default listing, or returns; no event."""
        return self._doc_changed(self.docs[doc_id], archived=archived)

    def delete_doc(self, doc_id: str) -> list[Body]:
        """A doc goes to the trash; no event."""
        return self._doc_changed(self.docs[doc_id], deleted=True)

    def restore_doc(self, doc_id: str) -> list[Body]:
        """A doc comes back from the trash; no event."""
        return self._doc_changed(self.docs[doc_id], deleted=False)

    def add_page(
        self, doc_id: str, name: str, content: str = "", *, parent: str | None = None, by: int | None = None
    ) -> Page:
        """A new page at the end of a doc, or below its page `parent`."""
        doc, at = self.docs[doc_id], self.now()
        if parent is not None and parent not in doc.pages:
            raise ValueError(f"page {parent} is not in doc {doc_id}")
        made = Page(
            id=self._paper_ids.paper(self.team_id),
            doc_id=doc_id,
            name=name,
            content=content,
            creator=self._actor(by).id,
            created=at,
            updated=at,
            parent_id=parent,
        )
        doc.pages[made.id] = made
        self._doc_changed(doc)
        return made

    def edit_page(
        self, page_id: str, content: str | None = None, *, name: str | None = None, by: int | None = None
    ) -> list[Body]:
        """A page gets another text or name; no event."""
        page = self._page(page_id)
        page.content = page.content if content is None else content
        page.name = page.name if name is None else name
        page.updated = page.edited = self.now()
        page.edited_by = self._actor(by).id
        return self._doc_changed(self.docs[page.doc_id])

    def archive_page(self, page_id: str, *, archived: bool = True) -> list[Body]:
        """A page is marked archived, or no longer; no event."""
        page = self._page(page_id)
        page.archived, page.updated = archived, self.now()
        return self._doc_changed(self.docs[page.doc_id])

    def delete_page(self, page_id: str) -> list[Body]:
        """A page goes with the pages below it; no event."""
        page = self._page(page_id)
        doc = self.docs[page.doc_id]
        gone = [page]
        for one in gone:
            gone += [each for each in doc.pages.values() if each.parent_id == one.id]
        for one in gone:
            one.deleted, one.updated = True, self.now()
        return self._doc_changed(doc)

    def _page(self, page_id: str) -> Page:
        return next(one.pages[page_id] for one in self.docs.values() if page_id in one.pages)

    def _doc_changed(self, doc: Doc, **changes: object) -> list[Body]:
        for name, value in changes.items():
            setattr(doc, name, value)
        doc.updated = self.now()
        return []

    def _kind_of(self, parent_id: str) -> int:
        kinds = ((SPACE, self.spaces), (FOLDER, self.folders), (LIST, self.lists))
        kind = next((kind for kind, where in kinds if parent_id in where), None)
        if kind is None and parent_id != self.team_id:
            raise KeyError(parent_id)
        return WORKSPACE if kind is None else kind
