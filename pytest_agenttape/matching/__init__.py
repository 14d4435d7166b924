"""What makes two requests the same, and what a call gets."""
