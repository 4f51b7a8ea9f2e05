"""The language of attribute mappings: grammar, values, functions, compiler. Pure: no clock, no chance, no I/O."""
