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
)

// maxAttempts bounds the calls for one message: with the waits between them, some two minutes. Waiting for a paused channel counts as
// none, nor do calls while nothing gets through to the provider.
const maxAttempts = 8

// handOver makes a message ready for its provider, and calls it.
func (a *attempt) handOver(ctx context.Context) (*outcome, error) {
	var err error
	if a.ch, err = a.Channels.Get(ctx, a.m.ChannelID, false); err != nil {
		return nil, err
	}
	adapter, ok := a.Adapters[a.ch.AdapterID()]
	if !ok {
		return a.end(ctx, message.Rejected, problemNoAdapter(), false)
	}
	if a.resumed && !adapter.Capabilities().RepeatSafe {
		return a.end(ctx, message.Unknown, problemUnknown(), false)
	}
	switch unchanged, err := a.open(ctx); {
	case err != nil:
		return nil, err
	case !unchanged:
		return a.end(ctx, message.Rejected, problemContentChanged(), false)
	}
	answered, err := a.answered(ctx)
	switch {
	case errors.Is(err, message.ErrNotFound):
		return a.end(ctx, message.Rejected, problemAnswered(), false)
	case err != nil:
		return nil, err
	}
	account, err := a.ch.WithCredentials(a.Credentials)
	if err != nil {
		return nil, err
	}
	if o, err := a.slot(ctx); o != nil || err != nil {
		return o, err
	}
	return a.call(ctx, adapter, account, provider.Message{ID: a.m.ID.String(), To: a.m.Address, Content: a.m.Content, ReplyTo: answered})
}

// call calls the provider, a second time at once where that is safe and of use, and records what came of it.
func (a *attempt) call(ctx context.Context, adapter provider.Adapter, account provider.Channel, m provider.Message) (*outcome, error) {
	can := adapter.Capabilities()
	for {
		if !a.resumed && a.Health.Out(a.ch.ProviderID, a.ch.ID) && a.unanswered() > a.terms.InFlight/4 && a.Random()%64 > 0 {
			return a.outage(ctx, health.Lease) // better one tries of those whose answer is missing already
		}
		pass, d := a.Health.Enter(ctx, a.ch.ProviderID, a.ch.ID)
		if d > 0 {
			return a.outage(ctx, d)
		}
		started := a.Now()
		receipt, err := adapter.Send(ctx, account, m)
		if err == nil {
			a.Health.Done(ctx, pass, started, health.Answered, health.Answered)
			a.Log.InfoContext(ctx, "handed over", "account_id", a.accountID, "message_id", m.ID, "provider_id", a.ch.ProviderID, "provider_ms", a.Now().Sub(started).Milliseconds(), "duplicate", receipt.Duplicate)
			if can.OwnIDsOnly {
				a.keepID(ctx, receipt)
			}
			return a.sent(ctx, receipt, true)
		}
		failure := provider.Failure(err)
		ofProvider, ofChannel := health.Outcomes(failure)
		out := a.Health.Done(ctx, pass, started, ofProvider, ofChannel)
		a.Log.WarnContext(ctx, "not handed over", "account_id", a.accountID, "message_id", m.ID, "provider_id", a.ch.ProviderID, "code", failure.Code, "provider_code", failure.ProviderCode, "kind", int(failure.Kind), "error", failure.Error())
		if failure.Kind == provider.Ambiguous && can.RepeatSafe && !a.resumed && out == 0 && a.timeFor(ctx, callTime) {
			a.resumed = true // the same key makes a repeat safe; from here on the provider may have the message
			switch again, err := a.mayRepeat(ctx); {
			case err != nil:
				return nil, err
			case again:
				continue
			}
		}
		return a.failed(ctx, failure, can.RepeatSafe, out)
	}
}

// mayRepeat reports whether the provider may be called for the message once more at once. A repeat is a call like any other: what was
// switched off, blocked or forbidden meanwhile gets none, and a provider with limits is not called again at once.
func (a *attempt) mayRepeat(ctx context.Context) (bool, error) {
	var err error
	if a.registered, err = a.provider(ctx, a.ch.ProviderID); err != nil {
		return false, err
	}
	if _, blocked, err := a.blocked(ctx); blocked || err != nil {
		return false, err
	}
	st, err := a.Accounts.Standing(ctx, a.accountID, false)
	_, forbidden := st.Countries.Forbid(a.registered.TransferCountries)
	return a.registered.Status == registry.Enabled && !forbidden && a.registered.Limits.Same(registry.Limits{}), err
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
func (a *attempt) failed(ctx context.Context, f *provider.Error, repeatSafe bool, out time.Duration) (*outcome, error) {
	if f.OptedOut {
		o := recipient.OptOut{ChannelID: a.ch.ID, Since: a.Now(), Source: recipient.ByProvider}
		if err := a.Stops.Record(ctx, a.accountID, a.m.Address, o); err != nil {
			a.Log.WarnContext(ctx, "opt-out not recorded", "account_id", a.accountID, "message_id", a.m.ID.String(), "error", err.Error())
		}
	}
	p := message.Problem{Code: f.Code, Detail: f.Detail, FaultDomain: string(f.Fault), ProviderCode: f.ProviderCode, Permanent: f.Kind == provider.Permanent}
	switch {
	case f.Kind == provider.Credentials && len(a.ch.SealedCredentials) > 0:
		return a.lockedOut(ctx)
	case f.Kind == provider.Permanent:
		return a.end(ctx, message.Failed, p, true)
	case f.Kind == provider.Ambiguous && !repeatSafe:
		return a.end(ctx, message.Unknown, problemUnknown(), true)
	case f.Kind == provider.Ambiguous:
		a.resumed = true
	}
	if f.RetryAfter > 0 {
		if err := a.Channels.Pause(ctx, a.ch.ID, a.Now().Add(f.RetryAfter)); err != nil {
			a.Log.WarnContext(ctx, "channel not paused", "channel_id", a.ch.ID, "error", err.Error())
		}
	}
	switch givenUp := out == 0 && a.m.Attempts+1-a.m.Spared >= maxAttempts || out > 0 && (a.waitedTooLong() || a.crowds()); {
	case givenUp && a.resumed:
		return a.end(ctx, message.Unknown, problemUnknown(), true)
	case givenUp:
		return a.end(ctx, message.Failed, p, true)
	}
	return a.retry(ctx, f, out)
}

// lockedOut ends a message for which the provider refused the account's own credentials: nothing on the channel will pass until its user
// enters others.
func (a *attempt) lockedOut(ctx context.Context) (*outcome, error) {
	marked, err := a.Channels.MarkCredentialsInvalid(ctx, a.ch)
	if err != nil && !errors.Is(err, channel.ErrNotFound) { // that nothing was sent is known all the same; the next message tries again
		a.Log.WarnContext(ctx, "channel not taken out of use", "channel_id", a.ch.ID, "error", err.Error())
	}
	if marked {
		a.note(event.New(event.ChannelUpdated, a.accountID, a.ch.ID, a.Now(), ""))
	}
	return a.end(ctx, message.Failed, problemCredentials(), true)
}

// retry records a failed call and lets the message come again. While nothing gets through to the provider, the call counts as none.
func (a *attempt) retry(ctx context.Context, f *provider.Error, out time.Duration) (*outcome, error) {
	var (
		w     message.Written
		err   error
		now   = a.Now()
		delay = max(f.RetryAfter, a.apart())
	)
	if out > 0 {
		delay = max(delay, out)
		w, err = a.Messages.Spare(ctx, a.m, a.entry.Lease, now, f.Code, now.Add(delay))
	} else {
		delay = max(delay, jittered(retryDelay(a.m.Attempts+1-a.m.Spared), a.Random()))
		w, err = a.Messages.Retry(ctx, a.accountID, a.m.ID, a.entry.Lease, now, f.Code, now.Add(delay))
	}
	switch {
	case err != nil:
		return nil, err
	case !w.Applied:
		return a.refusedCall(ctx, w)
	}
	return a.later(delay), nil
}
