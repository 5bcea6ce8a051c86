"""What others wrote and this project is built and tested with: pinned, listed, looked up."""
