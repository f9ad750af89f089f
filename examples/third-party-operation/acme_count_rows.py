def count_rows(db, *, table: str):
    return {"rows": db.execute(f"SELECT count(*) FROM {db.quote(table)}")[0][0]}
