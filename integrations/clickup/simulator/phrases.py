"""The words of the simulated company: names, titles, descriptions and remarks for `story.py` to choose from.

Some hold accents, other scripts, emoji and markup, since real workspaces do and programs trip over them.
"""

SPACES = {
    "Platform": ("Broker migration", "Observability", "Runbooks"),
    "Customer Success": ("Onboarding", "Renewals", "Escalations"),
    "Warehouse Operations": ("Routing", "Cold chain", "Carriers"),
    "People & Culture": ("Hiring", "Learning", "Offices"),
    "Marketing — Europa": ("Kampagnen", "Events", "Website"),
}
LISTS = (
    "Backlog",
    "This sprint",
    "Incident playbooks",
    "Published articles",
    "Waiting on vendor",
    "Q3 commitments",
    "Nice to have 🌱",
    "Übergabe",
    "改善",
)
TAGS = ("runbook", "security", "quick win", "customer", "blocked", "documentation", "größer")
VERBS = ("Rotate", "Document", "Review", "Replace", "Automate", "Investigate", "Prepare", "Migrate", "Test")
THINGS = (
    "the broker certificates",
    "the on-call handbook",
    "backup restore in Frankfurt",
    "slow label printing at dock 4",
    "the Müller & Söhne contract",
    "duplicate customer records",
    "the onboarding checklist",
    "login with single sign-on",
    "the 東京 office network",
    "invoice export for Q2",
    "temperature alerts in hall C",
    "the carrier rate table",
    "search in the help centre",
    "dead letters of the order queue",
)
ENDINGS = ("", "", "", " (EU)", " — étape 1 🔐", " before the audit", " with the vendor", " 🚚")
DESCRIPTIONS = (
    "Drain the consumers, then swap the key. Keep the old one for a day.",
    "Steps:\n1. Read the last incident\n2. Write down what was missing\n3. Ask **Priya** to try it",
    "Customers report this twice a week; see the notes from Thursday's call.",
    "Goal: nobody has to remember this. <b>Scope</b>: only the European sites & partners.",
    "Der Zugriff läuft über das VPN; Schlüssel liegen im Tresor. 🗝️",
    "Acceptance: 500 labels in 60 seconds, no reprints, measured on two shifts.",
    "未確認: 東京の回線は夜間のみ切り替え可能。",
)
REMARKS = (
    "Checked on staging, no dropped messages.",
    "Waiting for the vendor; they promised Tuesday.",
    "I'd split this, it is two problems.",
    "Danke, das hat geholfen! 🙌",
    "Can someone with access to hall C confirm?",
    "The dashboard agrees: p95 is back under 200 ms.",
    "See https://status.example.com/incidents/4711 for the timeline.",
    "Rolled back at 14:05. Will try again with a smaller batch.",
    "👍",
)
REPLIES = ("Agreed.", "On it.", "Not yet, tomorrow morning.", "Merci !", "Done — see the attached numbers.")
CHECKLIST = ("Tell the team", "Take a backup", "Change one site first", "Watch for an hour", "Write it down")
GOALS = ("Restore any system within an hour", "Renewal rate above 95 %", "Zero lost shipments in Q3 🎯")
KEY_RESULTS = ("Drills held", "Customers called", "Sites migrated", "Articles reviewed")
AUDIENCES = ("On-call", "Everyone", "Partners", "Management")
EFFORTS = ("S", "M", "L")
