"""The remedy measured: a teacher, its students and their rivals over seeds, what they lose, what they cost, when they pay."""
