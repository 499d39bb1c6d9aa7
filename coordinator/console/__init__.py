"""The console: server-rendered pages for the centre, the departments' IT and auditors. See README.md of this folder."""
