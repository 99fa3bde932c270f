"""What a training needs, known from the shape of its model: memory, time, downloads."""
