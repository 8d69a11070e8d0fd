-- Step down to the program's own role, where the server has it and the user may. Since PostgreSQL 16 a member need
-- not be allowed to SET ROLE.
SELECT set_config('role', rolname, false)
FROM pg_roles
WHERE rolname = $1
  AND pg_has_role(current_user, oid,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
