-- Systems of record know people by their employee id.
CREATE INDEX user_by_employee_id ON user ((attributes ->> 'employeeId') COLLATE NOCASE)
  WHERE attributes ->> 'employeeId' IS NOT NULL;
