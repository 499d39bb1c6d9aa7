"""The coordinator's database: sessions, the common base of all tables, and the migrations."""
