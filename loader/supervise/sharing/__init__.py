"""Several trainers read what one pool makes: who has attached, and who waits for whom."""
