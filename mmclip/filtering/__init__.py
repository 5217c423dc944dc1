"""The stage that scores translations, keeps or rejects them, and has a sample judged."""
