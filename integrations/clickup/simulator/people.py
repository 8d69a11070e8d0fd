"""The people of the simulated company: one of each role, and a guest who has not accepted yet."""

from collections.abc import Iterator

from integrations.clickup.simulator.ids import Ids
from integrations.clickup.simulator.records import Member

_PEOPLE = (
    ("Nadia Okafor", "#7b68ee", 1),
    ("Tomás Rivera", "#02579b", 2),
    ("Mei-Ling Zhao", "#e91e63", 3),
    ("Jonas Lindqvist", "#0f9d9f", 3),
    ("Priya Raman", "#ff7800", 3),
    ("Zoë van Dijk", None, 3),
)


def people(ids: Ids) -> Iterator[Member]:
    """The members, the owner first."""
    for username, color, role in _PEOPLE:
        user_id = int(ids.number("user"))
        first, last = username.split(" ", 1)
        picture = f"https://attachments.example.com/profilePictures/{user_id}.jpg" if role == 2 else None
        yield Member(
            id=user_id,
            username=username,
            email=f"{first.encode('ascii', 'ignore').decode().lower()}@northwind.example.com",
            color=color,
            initials=first[0] + last[0].upper(),
            picture=picture,
            role=role,
        )
    yield Member(
        id=int(ids.number("user")),
        username=None,
        email="invited@partner.example.com",
        color=None,
        initials=None,
        picture=None,
        role=4,
    )
