"""Plans that were made: kept, compared, carried out."""
