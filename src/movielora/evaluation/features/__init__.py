"""What is known of each row without any model: history, counts in training, genres, leaks between the splits."""
