"""Selecting: take, choose, diagonal, triangles, insert and delete."""
