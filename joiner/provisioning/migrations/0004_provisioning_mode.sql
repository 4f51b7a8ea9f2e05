-- Applications whose provisioning mode is Automatic. It never becomes Manual again, also when the last job is deleted.
CREATE TABLE automatic_provisioning (
  service_principal_id TEXT PRIMARY KEY,
  since                TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO automatic_provisioning SELECT service_principal_id, min(created_at) FROM job GROUP BY service_principal_id;
