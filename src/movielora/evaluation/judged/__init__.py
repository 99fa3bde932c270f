"""Are the rows of a comparison a fair test: not trained on, asked in the trained words, of many users?"""
