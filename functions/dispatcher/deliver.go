package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"contactcenter/shared/channel"
	"contactcenter/shared/event"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/health"
	"contactcenter/shared/provider/pace"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/recipient"
	"contactcenter/shared/seal"
	"contactcenter/shared/usage"
)

const (
	// maxAttempts bounds the calls for one message: with the waits between them, some two minutes. Waiting for a paused channel
	// counts as none, nor do calls while nothing gets through to the provider.
	maxAttempts = 8
	// lostAfter is when a reference without a record is dropped: twice the time that intake may take.
	lostAfter = 20 * time.Second
	// longestOutage is how long a message waits in the queue for a provider to which nothing gets through.
	longestOutage = 24 * time.Hour
	// recovering is how long after an outage messages that wait for others ask more often.
	recovering = 2 * time.Minute
	// patience is how long a message whose answer is missing keeps its place where places are few.
	patience = time.Minute
	// lookAround is for how long at a time a message stays away that has its place in a sender's line.
	lookAround = 15 * time.Minute
	// orderTries is how often a message comes back for one before it that is held, before it is held itself.
	orderTries = 4
)

// claim is a ledger entry that this round works on.
type claim struct {
	entry usage.Entry
	// expired: the entry was another holder's, whose lease has run out.
	expired bool
	// aside is why the message is claimed without a unit: to be rejected or held.
	aside string
	// optedOut tells whether the recipient of a conversation opted out.
	optedOut func(conversation string) (bool, error)
}

// attempt is the work on one claimed message.
type attempt struct {
	*round
	claim
	m message.Message
	// registered is what the registry says of its provider, once notNow has looked.
	registered registry.Entry
	// behind: it had to wait for the one before it in its conversation, which waited in its sender's line if there was one.
	behind bool
	// resumed: an earlier holder may have reached the provider, so the message may no longer end as if it had not.
	resumed bool
}

// message works on one claim and settles it.
func (r *round) message(ctx context.Context, c claim) {
	mid := c.entry.Message
	if c.expired {
		var ok bool
		if c, ok = r.takeOver(ctx, c); !ok {
			return // somebody else was faster; the record comes again
		}
	}
	a := &attempt{round: r, claim: c, resumed: c.expired && c.entry.Lease != c.entry.Claim}
	v, standing, err := a.run(ctx)
	if err == nil && standing != nil {
		err = a.giveBack(ctx, *standing)
	}
	switch {
	case errors.Is(err, errOvertaken):
		return
	case err != nil:
		// The entry stays: whoever comes after the lease takes it over and finds out how far this went.
		r.Log.ErrorContext(ctx, "message not dispatched", "account_id", r.accountID, "message_id", mid.String(), "error", err.Error())
		r.decide(mid, again(c.entry.Expires.Sub(r.Now())+time.Second))
		return
	}
	r.decide(mid, v)
	if standing == nil {
		return // the provider may have the message: the entry keeps the unit until that is known
	}
	settlement, final := standing.Settlement(c.entry)
	if !final {
		settlement.GiveBack = c.entry.Counts()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if final && !settlement.GiveBack && c.entry.Counts() {
		r.lazy = append(r.lazy, settlement)
	} else {
		r.settle = append(r.settle, settlement)
	}
}

// takeOver makes an expired entry this round's.
func (r *round) takeOver(ctx context.Context, c claim) (claim, bool) {
	e := c.entry
	gate, err := r.Gates.TakeOver(ctx, r.accountID, r.terms, e, r.gate, r.nonce, true)
	if refused, ok := isRefused(err); ok {
		now, still := refused.Gate.Entries[e.Message.Unique]
		if !still || now.Lease != e.Lease || e.Counts() {
			return c, false
		}
		// An entry that counts nothing found no unit: it can still be set aside.
		if refused.Gate.Remaining > 0 && !refused.Gate.Blocked {
			return c, false
		}
		c.aside = message.HeldUsageLimit
		if refused.Gate.Blocked {
			c.aside = message.HeldAccountRestricted
		}
		gate, err = r.Gates.TakeOver(ctx, r.accountID, r.terms, e, refused.Gate, r.nonce, false)
	}
	if err != nil {
		if _, refused := isRefused(err); !refused {
			r.Log.WarnContext(ctx, "message not taken over", "account_id", r.accountID, "message_id", e.Message.String(), "error", err.Error())
		}
		return c, false
	}
	c.entry = gate.Entries[e.Message.Unique]
	return c, true
}

// run claims first, then reads, then acts. The standing says how the entry is to be settled; nil leaves it.
func (a *attempt) run(ctx context.Context) (verdict, *usage.Standing, error) {
	tail, v, err := a.read(ctx)
	if err != nil || tail == nil {
		return v, &usage.Standing{}, err
	}
	a.m = tail.Message
	if a.m.Final() {
		a.happened(a.m) // whoever ended it may have stopped before he told
		return ack(), standing(a.m), nil
	}
	if !a.m.SendAt.IsZero() && !a.Now().Before(a.m.SendAt) {
		a.step(a.m, message.Queued)
	}
	if !message.SameActivity(tail.Active, a.m.CreatedAt()) {
		if err := a.Messages.Touch(ctx, a.m); err != nil {
			return v, nil, err
		}
	}
	if a.expired {
		w, err := a.Messages.Fence(ctx, a.accountID, a.m.ID, a.entry.Lease)
		if err != nil {
			return v, nil, err
		}
		if !w.Applied {
			return a.refused(w)
		}
	}
	if a.m.Report != "" { // the provider reported on it: it has the message
		if a.registered, err = a.Providers.Get(ctx, a.m.ProviderID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return v, nil, err
		}
		return a.sent(ctx, provider.Receipt{}, false)
	}
	if v, s, done, err := a.notNow(ctx, tail); done {
		return v, s, err
	}
	if v, s, done, err := a.limited(ctx); done || err != nil {
		return v, s, err
	}
	return a.handOver(ctx)
}

// recordWaits are the waits for a record that is behind its reference: mostly it is on its way, a few milliseconds away.
func recordWaits() []time.Duration {
	return []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
}

// read fetches the message and the end of its conversation. A record may be a moment behind its reference.
func (a *attempt) read(ctx context.Context) (*message.Tail, verdict, error) {
	mid := a.entry.Message
	for try := 0; ; try++ {
		tail, err := a.Messages.Tail(ctx, a.accountID, mid, a.Now())
		if err == nil {
			return &tail, verdict{}, nil
		}
		if !errors.Is(err, message.ErrNotFound) {
			return nil, verdict{}, err
		}
		if try == len(recordWaits()) {
			break
		}
		if err := a.Sleep(ctx, recordWaits()[try]); err != nil {
			return nil, verdict{}, err
		}
	}
	if a.Now().Sub(mid.Time()) > lostAfter {
		a.Log.WarnContext(ctx, "reference without a message dropped", "account_id", a.accountID, "message_id", mid.String())
		return nil, ack(), nil
	}
	return nil, again(time.Second), nil
}

// notNow deals with everything that keeps a message from being handed over at this moment, or for good.
func (a *attempt) notNow(ctx context.Context, tail *message.Tail) (v verdict, s *usage.Standing, done bool, err error) {
	now := a.Now()
	a.m.HeldBy = "" // of an earlier time
	end := func(status message.Status, p message.Problem) (verdict, *usage.Standing, bool, error) {
		v, s, err := a.end(ctx, status, p, false)
		return v, s, true, err
	}
	wait := func(d time.Duration) (verdict, *usage.Standing, bool, error) {
		v, s := a.later(d)
		return v, s, true, nil
	}
	hold := func(reason string, until time.Time) (verdict, *usage.Standing, bool, error) {
		v, s, err := a.hold(ctx, reason, until)
		return v, s, true, err
	}
	if !a.m.ExpiresAt.IsZero() && !now.Before(a.m.ExpiresAt) {
		return end(message.Expired, problemExpired())
	}
	switch out, err := a.optedOut(a.m.ID.Conversation); {
	case err != nil:
		return v, nil, true, err
	case out:
		return end(message.Rejected, problemOptedOut())
	}
	ch, err := a.Channels.Get(ctx, a.m.ChannelID, false)
	if err == nil && ch.Status != channel.Active {
		ch, err = a.Channels.Get(ctx, a.m.ChannelID, true) // before saying no, look again
	}
	switch {
	case errors.Is(err, channel.ErrNotFound):
		return end(message.Rejected, problemChannel())
	case err != nil:
		return v, nil, true, err
	case ch.Status == channel.CredentialsInvalid:
		return end(message.Rejected, problemCredentials())
	case ch.Status != channel.Active:
		return end(message.Rejected, problemChannel())
	}
	switch by, blocked, err := a.blocked(ctx); {
	case err != nil:
		return v, nil, true, err
	case blocked:
		a.m.HeldBy = by.ID
		return hold(message.HeldAccountRestricted, by.Until)
	}
	entry, err := a.provider(ctx, ch.ProviderID)
	a.registered = entry
	switch {
	case err != nil:
		return v, nil, true, err
	case entry.Status == registry.Removed:
		return end(message.Rejected, problemRemoved())
	case entry.Status == registry.Disabled && a.aside == "":
		if err := a.Waiting.Mark(ctx, a.accountID, entry.ID, entry.Version); err != nil {
			return v, nil, true, err
		}
		return hold(message.HeldProviderDisabled, time.Time{})
	}
	if a.aside != "" {
		if a.aside == message.HeldUsageLimit && a.m.OnLimit == message.Reject {
			return end(message.Rejected, problemLimit())
		}
		until := time.Time{}
		if a.aside == message.HeldUsageLimit {
			until = a.gate.Ends
		}
		return hold(a.aside, until)
	}
	if d := a.Health.Look(ctx, ch.ProviderID, ch.ID); d > 0 {
		v, s, err := a.outage(ctx, d)
		return v, s, true, err
	}
	if p := tail.Previous; p != nil && p.Outcome.Waiting() && !a.resumed {
		receives := a.byMessage[a.m.ID].receives
		if p.Outcome == message.Held && receives >= orderTries {
			return hold(message.HeldOrder, p.ReleaseAt)
		}
		turn := min(retryDelay(receives), 8*time.Second)
		if now.Sub(a.Health.Recovered(ch.ProviderID, ch.ID)) < recovering {
			turn = min(turn, time.Second) // it was received so often because of the outage
		}
		if p.NotBefore.After(now) {
			turn = max(turn, a.inLine(p.NotBefore, now))
		}
		return wait(max(turn, a.apart()))
	}
	if p := tail.Previous; p != nil {
		a.behind = a.m.CreatedAt().Before(p.UpdatedHere())
	}
	if p := tail.Previous; p != nil && a.apart() > 0 {
		if d := p.UpdatedHere().Add(a.apart()).Sub(now); d > 0 {
			return wait(d)
		}
	}
	if a.m.NotBefore.After(now) {
		return wait(a.inLine(a.m.NotBefore, now))
	}
	if ch.PausedUntil.After(now) {
		return wait(ch.PausedUntil.Sub(now))
	}
	if !a.timeFor(ctx, callTime) {
		return wait(time.Second)
	}
	return v, nil, false, nil
}

// apart is the least time between two messages of the channel to one recipient, where the provider has such a limit.
func (a *attempt) apart() time.Duration {
	return time.Duration(a.registered.Limits.PerRecipientSeconds) * time.Second
}

// slot waits for the next slots of the message's sender and of its provider, where these bound what they take, or gives the message back
// until it should come again: then done is set. Slots that begin soon are waited for; the switch is looked at again then.
func (a *attempt) slot(ctx context.Context) (v verdict, s *usage.Standing, done bool, err error) {
	limits := a.registered.Limits
	// The sender's first: its slot is lost when the provider has none, which is nobody else's loss.
	bounds := []bound{
		{pace.Subject{ProviderID: a.registered.ID, ChannelID: a.m.ChannelID}, limits.PerSender, true},
		{pace.Subject{ProviderID: a.registered.ID}, limits.Rate, false},
	}
	var slots []time.Time
	horizon := maxNap
	for _, b := range bounds {
		if b.rate == nil {
			continue
		}
		waited := !b.lines || a.behind || a.resumed || lined(a.m)
		at, taken, err := a.Pace.Take(ctx, b.of, b.pace(), horizon, waited)
		switch {
		case err != nil:
			return v, nil, true, err
		case !taken && !waited:
			v, s, err := a.lineUp(ctx, b)
			return v, s, true, err
		case !taken:
			// Longer when it did not help before: each time is a receive, and SQS counts them.
			v, s := a.later(max(at.Sub(a.Now()), time.Second) + jittered(retryDelay(a.byMessage[a.m.ID].receives/4), a.Random()))
			return v, s, true, nil
		}
		if d := at.Sub(a.Now()); d > 0 {
			if err := a.Sleep(ctx, d); err != nil {
				return v, nil, true, err
			}
		}
		slots, horizon = append(slots, at), pace.Guard/2 // the call must leave soon after the first
	}
	if len(slots) == 0 {
		return v, nil, false, nil
	}
	if a.registered, err = a.provider(ctx, a.registered.ID); err != nil {
		return v, nil, true, err
	}
	now := a.Now()
	if a.registered.Status != registry.Enabled || slices.ContainsFunc(slots, func(at time.Time) bool { return now.Sub(at) > pace.Guard }) {
		v, s := a.later(time.Second) // the slots are lost
		return v, s, true, nil
	}
	return v, nil, false, nil
}

// bound is a limit on how many messages a provider or one of its senders takes. Messages for a sender line up; those for a provider don't:
// one account's many would stand before another's one.
type bound struct {
	of    pace.Subject
	rate  *registry.Rate
	lines bool
}

func (b bound) pace() pace.Rate {
	return pace.Rate{Limit: b.rate.Limit, Window: time.Duration(b.rate.WindowSeconds) * time.Second, Burst: b.rate.Burst}
}

// lined reports whether the message had a place in its sender's line.
func lined(m message.Message) bool {
	return slices.ContainsFunc(m.Steps, func(s message.Step) bool { return s.Reason == message.StepLined })
}

// lineUp gives the message a place in its sender's line, once, and keeps it there: whoever comes after it in its conversation waits as long.
func (a *attempt) lineUp(ctx context.Context, b bound) (verdict, *usage.Standing, error) {
	place, err := a.Pace.Line(ctx, b.of, b.pace())
	if err != nil {
		return verdict{}, nil, err
	}
	now := a.Now()
	w, err := a.Messages.Await(ctx, a.m, a.entry.Lease, now, place)
	if err != nil {
		return verdict{}, nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	v, s := a.later(a.inLine(place, now))
	return v, s, nil
}

// inLine is how long a message with a place waits at a time: it looks around now and then, for it may be expired, withdrawn or held by then.
func (a *attempt) inLine(place, now time.Time) time.Duration {
	d := min(place.Sub(now), lookAround)
	if !a.m.ExpiresAt.IsZero() {
		d = min(d, a.m.ExpiresAt.Sub(now))
	}
	return max(d, time.Second)
}

// provider gives the entry of the message's provider. Before a message is kept waiting, it looks again: what has just been
// switched on should not wait for another look at what was held.
func (a *attempt) provider(ctx context.Context, providerID string) (registry.Entry, error) {
	entry, err := a.Providers.Get(ctx, providerID)
	if err == nil && entry.Status == registry.Disabled {
		return a.Providers.Recent(ctx, providerID)
	}
	return entry, err
}

// outage keeps a message waiting while nothing gets through to its provider: no attempt is used up, until it expires or has waited for
// longer than anybody should.
func (a *attempt) outage(ctx context.Context, d time.Duration) (verdict, *usage.Standing, error) {
	if a.waitedTooLong() || a.crowds() {
		if a.resumed {
			return a.end(ctx, message.Unknown, problemUnknown(), false)
		}
		return a.end(ctx, message.Failed, problemOutage(), false)
	}
	if !a.m.ExpiresAt.IsZero() {
		d = min(d, max(a.m.ExpiresAt.Sub(a.Now()), time.Second))
	}
	v, s := a.later(d)
	return v, s, nil
}

// crowds reports whether the message is one of too many of its account whose answers are missing. They keep their places among those that
// are on their way, so that the account's messages to other providers would find none: some are given up then, after a while.
func (a *attempt) crowds() bool {
	failed := slices.IndexFunc(a.m.Steps, func(s message.Step) bool {
		return s.Status == message.Queued && s.Reason != message.StepReleased && s.Reason != message.StepLined
	})
	return a.resumed && a.unanswered() > a.terms.InFlight/2 && failed >= 0 && a.Now().Sub(a.m.Steps[failed].At) > patience
}

// unanswered counts the account's messages that were taken over from another holder: nobody knows whether their providers have them.
func (a *attempt) unanswered() int {
	n := 0
	for _, e := range a.gate.Entries {
		if e.Counts() && e.Lease != e.Claim {
			n++
		}
	}
	return n
}

// waitedTooLong reports whether the message is in the queue for longer than an outage is waited for.
func (a *attempt) waitedTooLong() bool {
	queued := a.byMessage[a.m.ID].queuedAt
	return queued.Unix() > 0 && a.Now().Sub(queued) > longestOutage
}

// later gives the message back for a while. After a takeover the unit stays with it: the provider may have it.
func (a *attempt) later(d time.Duration) (verdict, *usage.Standing) {
	if a.resumed {
		return again(max(d, a.entry.Expires.Sub(a.Now())+time.Second)), nil
	}
	return again(d), &usage.Standing{}
}

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

// sent records that the provider has the message.
func (a *attempt) sent(ctx context.Context, receipt provider.Receipt, called bool) (verdict, *usage.Standing, error) {
	// What the provider took must be recorded, also when the invocation's time is nearly over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	w, err := a.Messages.Sent(ctx, a.accountID, a.m.ID, a.entry.Claim, message.Handover{ProviderMessageID: receipt.ProviderMessageID, At: a.Now(), Attempt: called, ProviderVersion: a.registered.Version})
	if err != nil {
		return verdict{}, nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	a.happened(w.Message)
	return ack(), standing(w.Message), nil
}

// end writes a bad end. After a takeover the provider may have the message: then it is counted, and what would have
// been our own no is an unknown.
func (a *attempt) end(ctx context.Context, status message.Status, p message.Problem, called bool) (verdict, *usage.Standing, error) {
	e := message.Ending{Status: status, At: a.Now(), Problem: &p, Attempt: called}
	if called || a.resumed { // the provider was given the message, or may have been
		e.ProviderVersion = a.registered.Version
	}
	if a.resumed {
		e.Claim = a.entry.Claim
		if status == message.Rejected || status == message.Expired {
			unknown := problemUnknown()
			e.Status, e.Problem = message.Unknown, &unknown
		}
	}
	if status == message.Unknown {
		e.Claim = a.entry.Claim
	}
	w, err := a.Messages.End(ctx, a.accountID, a.m.ID, a.entry.Lease, e)
	if err != nil {
		return verdict{}, nil, err
	}
	switch {
	case !w.Applied && called:
		return a.refusedCall(ctx, w)
	case !w.Applied:
		return a.refused(w)
	}
	a.happened(w.Message)
	return ack(), standing(w.Message), nil
}

// hold sets the message aside. After a takeover the provider may have it, so it waits as it is.
func (a *attempt) hold(ctx context.Context, reason string, until time.Time) (verdict, *usage.Standing, error) {
	if a.resumed {
		v, s := a.later(5 * time.Second)
		return v, s, nil
	}
	w, err := a.Messages.Hold(ctx, a.m, a.entry.Lease, a.Now(), reason, until)
	if err != nil {
		return verdict{}, nil, err
	}
	if !w.Applied {
		return a.refused(w)
	}
	a.happened(w.Message)
	return ack(), &usage.Standing{}, nil
}

// refused reads what a refused write brought along: an end that somebody else wrote, the provider's word that it has
// the message, or a later holder.
func (a *attempt) refused(w message.Written) (verdict, *usage.Standing, error) {
	switch {
	case w.Message.Final():
		a.happened(w.Message)
		return ack(), standing(w.Message), nil
	case w.Message.Report != "":
		a.resumed = true // at its next turn it is found reported, and recorded as sent
		v, s := a.later(time.Second)
		return v, s, nil
	default:
		return verdict{}, nil, errOvertaken
	}
}

// refusedCall is refused after a call, which counts. The provider's word that it has the message came while the call failed: then that is
// what became of the call.
func (a *attempt) refusedCall(ctx context.Context, w message.Written) (verdict, *usage.Standing, error) {
	if !w.Message.Final() && w.Message.Report != "" {
		a.resumed = true
		return a.sent(ctx, provider.Receipt{}, true)
	}
	return a.refused(w)
}

func standing(m message.Message) *usage.Standing {
	return &usage.Standing{Final: m.Final(), Claim: m.Claim}
}
