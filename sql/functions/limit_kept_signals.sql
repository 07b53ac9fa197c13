-- How many signals are kept that nobody waits for yet: under one id, for whoever waits in the namespace, and for one workflow. Null: any
-- number. More than that are refused (SignalQuotaError), until some were taken or have expired. Those that are kept stay.
-- For the owner of the schema and superusers: select durable.limit_kept_signals(1000). Raises PD003.
create or replace function limit_kept_signals(p_kept int) returns void
language plpgsql as $$
begin
  perform checked_figure('limit_kept_signals', p_kept, 1, 1e6);
  update signal_quota set kept = p_kept;
end $$;
