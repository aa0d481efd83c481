package main

import (
	"context"
	"errors"
	"time"

	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/usage"
)

// handOver calls the provider and records what came of it.
func (a *attempt) handOver(ctx context.Context) (verdict, *usage.Standing, error) {
	ch, err := a.Channels.Get(ctx, a.m.ChannelID, false)
	if err != nil {
		return verdict{}, nil, err
	}
	adapter, ok := a.Adapters[ch.AdapterID()]
	if !ok {
		v, s, err := a.end(ctx, message.Rejected, problemNoAdapter(), false)
		return v, s, err
	}
	can := adapter.Capabilities()
	repeatSafe := can.RepeatSafe
	if a.resumed && !repeatSafe {
		return a.end(ctx, message.Unknown, problemUnknown(), false)
	}
	switch unchanged, err := a.open(ctx); {
	case err != nil:
		return verdict{}, nil, err
	case !unchanged:
		return a.end(ctx, message.Rejected, problemContentChanged(), false)
	}
	answered, err := a.answered(ctx)
	if errors.Is(err, message.ErrNotFound) {
		return a.end(ctx, message.Rejected, problemAnswered(), false)
	}
	if err != nil {
		return verdict{}, nil, err
	}
	account, err := ch.WithCredentials(a.Credentials)
	if err != nil {
		return verdict{}, nil, err
	}
	if v, s, done, err := a.slot(ctx); done {
		return v, s, err
	}
	for {
		if !a.resumed && a.Health.Out(ch.ProviderID, ch.ID) && a.unanswered() > a.terms.InFlight/4 && a.Random()%64 > 0 {
			return a.outage(ctx, health.Lease) // better one tries of those whose answer is missing already
		}
		pass, d := a.Health.Enter(ctx, ch.ProviderID, ch.ID)
		if d > 0 {
			return a.outage(ctx, d)
		}
		started := a.Now()
		receipt, err := adapter.Send(ctx, account,
			provider.Message{ID: a.m.ID.String(), To: a.m.Address, Content: a.m.Content, ReplyTo: answered})
		failure := new(provider.Error)
		switch {
		case err == nil:
			a.Health.Done(ctx, pass, started, health.Answered, health.Answered)
			a.Log.InfoContext(ctx, "handed over", "account_id", a.accountID, "message_id", a.m.ID.String(), "provider_id", ch.ProviderID, "provider_ms", a.Now().Sub(started).Milliseconds(), "duplicate", receipt.Duplicate)
			if can.OwnIDsOnly {
				a.keepID(ctx, receipt)
			}
			return a.sent(ctx, receipt, true)
		case !errors.As(err, &failure):
			failure = &provider.Error{Kind: provider.Ambiguous, Code: "provider_unavailable", Fault: provider.FaultPlatform, Err: err}
		}
		ofProvider, ofChannel := health.Outcomes(failure)
		out := a.Health.Done(ctx, pass, started, ofProvider, ofChannel)
		a.Log.WarnContext(ctx, "not handed over", "account_id", a.accountID, "message_id", a.m.ID.String(), "provider_id", ch.ProviderID, "code", failure.Code, "provider_code", failure.ProviderCode, "kind", int(failure.Kind), "error", failure.Error())
		if failure.Kind == provider.Ambiguous && repeatSafe && !a.resumed && out == 0 && a.timeFor(ctx, callTime) {
			a.resumed = true // the same key makes a repeat safe; from here on the provider may have the message
			if a.registered, err = a.provider(ctx, ch.ProviderID); err != nil {
				return verdict{}, nil, err
			}
			_, blocked, err := a.blocked(ctx)
			if err != nil {
				return verdict{}, nil, err
			}
			// A repeat is a call like any other: a provider with limits is not called again at once.
			if a.registered.Status == registry.Enabled && !blocked && a.registered.Limits.Same(registry.Limits{}) {
				continue
			}
		}
		return a.failed(ctx, ch, failure, repeatSafe, out)
	}
}

// answered gives the provider's id of the message that this one answers, "" when it answers none. It returns
// message.ErrNotFound when that message is gone since this one was accepted.
func (a *attempt) answered(ctx context.Context) (string, error) {
	if a.m.ReplyTo == "" {
		return "", nil
	}
	m, err := id.ParseMessage(a.m.ReplyTo)
	if err != nil {
		return "", message.ErrNotFound
	}
	found, err := a.Messages.States(ctx, a.accountID, []id.Message{m})
	if err == nil && found[m].ProviderMessageID == "" {
		return "", message.ErrNotFound
	}
	return found[m].ProviderMessageID, err
}

// keepID remembers the provider's id of the message, before anything is reported under it. A message that this fails for
// stays sent: what is reported of it later is not known to be about it.
func (a *attempt) keepID(ctx context.Context, r provider.Receipt) {
	if r.ProviderMessageID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := a.Messages.KeepProviderID(ctx, a.accountID, a.m.ChannelID, r.ProviderMessageID, a.m.ID); err != nil {
		a.Log.WarnContext(ctx, "provider's id not kept", "account_id", a.accountID, "message_id", a.m.ID.String(), "error", err.Error())
	}
}

// open gives the message its address and content, as late as possible: only what is handed over at once is opened. It
// reports whether they are what was accepted. A key that is not there yet is an error, so that the message comes again.
func (a *attempt) open(ctx context.Context) (unchanged bool, err error) {
	err = a.Messages.Open(ctx, &a.m)
	if errors.Is(err, seal.ErrSealed) || errors.Is(err, message.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sum, err := a.m.Content.SHA256()
	return err == nil && sum == a.m.ContentSHA256, nil
}

// failed sorts a failed call into an end and another attempt. Out is how long nothing gets through to the provider, as far as is known now; 0:
// it does.
func (a *attempt) failed(ctx context.Context, ch channel.Channel, f *provider.Error, repeatSafe bool, out time.Duration) (verdict, *usage.Standing, error) {
	now := a.Now()
	p := message.Problem{Code: f.Code, Detail: f.Detail, FaultDomain: string(f.Fault), ProviderCode: f.ProviderCode, Permanent: f.Kind == provider.Permanent}
	if f.OptedOut {
		o := recipient.OptOut{ChannelID: ch.ID, Since: now, Source: recipient.ByProvider}
		if err := a.Stops.Record(ctx, a.accountID, a.m.Address, o); err != nil {
			a.Log.WarnContext(ctx, "opt-out not recorded", "account_id", a.accountID, "message_id", a.m.ID.String(), "error", err.Error())
		}
	}
	if f.Kind == provider.Credentials && len(ch.SealedCredentials) > 0 {
		// They are the account's own: nothing on this channel will pass until its user enters others.
		marked, err := a.Channels.MarkCredentialsInvalid(ctx, ch)
		if err != nil && !errors.Is(err, channel.ErrNotFound) {
			return verdict{}, nil, err
		}
		if marked {
			a.note(event.New(event.ChannelUpdated, a.accountID, ch.ID, now, ""))
		}
		return a.end(ctx, message.Failed, problemCredentials(), true)
	}
	if f.Kind == provider.Permanent {
		return a.end(ctx, message.Failed, p, true)
	}
	if f.Kind == provider.Ambiguous && !repeatSafe {
		return a.end(ctx, message.Unknown, problemUnknown(), true)
	}
	if f.RetryAfter > 0 {
		if err := a.Channels.Pause(ctx, ch.ID, now.Add(f.RetryAfter)); err != nil {
			a.Log.WarnContext(ctx, "channel not paused", "channel_id", ch.ID, "error", err.Error())
		}
	}
	if f.Kind == provider.Ambiguous {
		a.resumed = true
	}
	if out == 0 && a.m.Attempts+1-a.m.Spared >= maxAttempts || out > 0 && (a.waitedTooLong() || a.crowds()) {
		if a.resumed {
			return a.end(ctx, message.Unknown, problemUnknown(), true)
		}
		return a.end(ctx, message.Failed, p, true)
	}
	delay := max(f.RetryAfter, a.apart(), jittered(retryDelay(a.m.Attempts+1-a.m.Spared), a.Random()))
	record := func() (message.Written, error) {
		return a.Messages.Retry(ctx, a.accountID, a.m.ID, a.entry.Lease, now, f.Code, now.Add(delay))
	}
	if out > 0 {
		delay = max(f.RetryAfter, a.apart(), out)
		record = func() (message.Written, error) {
			return a.Messages.Spare(ctx, a.m, a.entry.Lease, now, f.Code, now.Add(delay))
		}
	}
	w, err := record()
	if err != nil {
		return verdict{}, nil, err
	}
	if !w.Applied {
		return a.refusedCall(ctx, w)
	}
	v, s := a.later(delay)
	return v, s, nil
}
