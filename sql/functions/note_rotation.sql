-- Notes that a worker role got a new password.
create or replace function note_rotation(p_role name) returns void
language plpgsql as $$
begin
  perform begin_write(true);
  update worker_role r set last_rotated_at = clock() where r.role_oid = quote_ident(p_role)::regrole::oid;
end $$;
