package api

import (
	"strings"
	"time"

	"contactcenter/shared/account"
	"contactcenter/shared/claim"
	"contactcenter/shared/message"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/restriction"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

// ProviderOf shows a provider's entry.
func ProviderOf(e registry.Entry) Provider {
	p := Provider{
		ID: e.ID, Adapter: e.Adapter, Name: e.Name, LegalEntity: e.LegalEntity, Website: e.Website, Onboarding: Onboarding(e.Onboarding),
		ChannelTypes: append([]string{}, e.ChannelTypes...), TransferCountries: append([]string{}, e.TransferCountries...),
		Documents: []ProviderDocument{}, CredentialFields: []CredentialField{}, TermsVersion: e.TermsVersion, Status: ProviderStatus(e.Status),
		Health: Health(e.Health.State), Since: OptionalTime(e.Health.Since),
	}
	p.Limits = providerLimits(e.Limits)
	for _, d := range e.Documents {
		p.Documents = append(p.Documents, ProviderDocument(d))
	}
	for _, f := range e.CredentialFields {
		p.CredentialFields = append(p.CredentialFields, CredentialField{Name: f.Name, Kind: f.Kind, Optional: f.Optional})
	}
	return p
}

func providerLimits(l registry.Limits) *ProviderLimits {
	if l.Same(registry.Limits{}) {
		return nil
	}
	rate := func(r *registry.Rate) *ProviderRate {
		if r == nil {
			return nil
		}
		return &ProviderRate{Limit: r.Limit, WindowSeconds: r.WindowSeconds, Burst: &r.Burst}
	}
	out := &ProviderLimits{Rate: rate(l.Rate), PerSender: rate(l.PerSender)}
	if l.PerRecipientSeconds > 0 {
		out.PerRecipient = &PairLimit{Limit: 1, WindowSeconds: l.PerRecipientSeconds}
	}
	return out
}

// RulesOf shows a version of the Rules.
func RulesOf(v rules.Version) Rules {
	out := Rules{Version: v.Version, EffectiveAt: At(v.EffectiveAt), Acceptance: RulesAcceptanceMode(v.Acceptance()), Documents: []RulesDocument{}, ProhibitedUses: []ProhibitedUse{}}
	for _, d := range v.Documents {
		out.Documents = append(out.Documents, RulesDocument{ID: RulesDocumentID(d.ID), Version: d.Version, Sha256: d.SHA256, URL: d.URL})
	}
	for _, u := range v.ProhibitedUses {
		out.ProhibitedUses = append(out.ProhibitedUses, ProhibitedUse(u))
	}
	return out
}

// RestrictionOf shows a restriction to the account that it concerns. Of a complaint that led to it there is only the id.
func RestrictionOf(r restriction.Restriction) Restriction {
	return Restriction{
		ID: r.ID, Kind: RestrictionKind(r.Kind), Scope: RestrictionScope(r.Scope),
		Reason: r.Reason, Clause: r.Clause, ComplaintID: r.ComplaintID, From: At(r.From), Until: OptionalTime(r.Until), Limit: r.Limit, Rate: restrictionRate(r.Rate),
	}
}

// RestrictionsOf shows restrictions to the account that they concern.
func RestrictionsOf(set restriction.Set) []Restriction {
	list := make([]Restriction, 0, len(set))
	for _, r := range set {
		list = append(list, RestrictionOf(r))
	}
	return list
}

// OperatorRestrictionOf shows a restriction to the operator, as it stands at a moment.
func OperatorRestrictionOf(r restriction.Restriction, now time.Time) OperatorRestriction {
	return OperatorRestriction{
		ID: r.ID, AccountID: r.AccountID, Kind: RestrictionKind(r.Kind), Scope: RestrictionScope(r.Scope),
		Reason: r.Reason, Clause: r.Clause, ComplaintID: r.ComplaintID, From: At(r.From), Until: OptionalTime(r.Until), Limit: r.Limit, Rate: restrictionRate(r.Rate),
		Status: OperatorRestrictionStatus(r.StatusAt(now)), CreatedBy: r.CreatedBy, LiftedAt: OptionalTime(r.LiftedAt), LiftedBy: r.LiftedBy,
	}
}

func restrictionRate(r *restriction.Rate) *Rate {
	if r == nil {
		return nil
	}
	return &Rate{Limit: r.Limit, WindowSeconds: r.WindowSeconds, Burst: r.Usage().Burst}
}

// Restricted is the answer to whom a restriction forbids what was asked for. The reason is the operator's words to the
// customer.
func Restricted(r restriction.Restriction) *Problem {
	p := NewProblem(CodeAccountRestricted)
	p.RestrictionID = r.ID
	p.Detail = "Clause " + r.Clause + ": " + r.Reason
	return p
}

// CountryNotAllowed is the answer where a provider takes data to countries outside an account's list; none: it does not say where. Field
// is what of the request chose the provider.
func CountryNotAllowed(field string, outside []string) *Problem {
	p := NewProblem(CodeCountryNotAllowed)
	if len(outside) == 0 {
		return p.WithField(field, "the provider does not say to which countries it takes data")
	}
	return p.WithField(field, "the provider takes data to "+strings.Join(outside, ", "))
}

// AppealOf shows an appeal, without its text.
func AppealOf(a claim.Appeal) Appeal {
	return Appeal{
		ID: a.ID, AccountID: a.AccountID, RestrictionID: a.RestrictionID, Status: AppealStatus(a.Status), Reason: a.Reason, CreatedBy: a.CreatedBy,
		CreatedAt: At(a.CreatedAt), UpdatedAt: OptionalTime(a.ChangedAt),
	}
}

// EvidenceRequestOf shows an evidence request, with the answers to it that are given.
func EvidenceRequestOf(e claim.Evidence, subs []claim.Submission, now time.Time) EvidenceRequest {
	out := EvidenceRequest{
		ID: e.ID, AccountID: e.AccountID, Status: EvidenceStatus(e.Status), Overdue: e.Overdue(now), Reason: e.Reason, Note: e.Note, DueAt: At(e.DueAt),
		RecipientIds: e.RecipientIDs, ComplaintID: e.ComplaintID, CreatedAt: At(e.CreatedAt), UpdatedAt: OptionalTime(e.ChangedAt),
	}
	if !e.From.IsZero() {
		out.Period = &EvidencePeriod{From: At(e.From), To: At(e.To)}
	}
	for _, s := range subs {
		shown := EvidenceSubmission{Statement: s.Statement, SubmittedBy: s.By, SubmittedAt: At(s.At), Documents: []EvidenceDocument{}}
		for _, d := range s.Documents {
			shown.Documents = append(shown.Documents, EvidenceDocument{Title: d.Title, URL: d.URL, Sha256: d.SHA256})
		}
		for _, b := range s.Bundles {
			shown.Bundles = append(shown.Bundles, EvidenceBundleReference{ID: b.ID, Sha256: b.SHA256})
		}
		out.Submissions = append(out.Submissions, shown)
	}
	return out
}

// UsageOf shows what an account has used, and may still use, as it is to be seen at a moment. A plan whose periods have
// another length begins a new one.
func UsageOf(g usage.Gate, st account.Standing, now time.Time, inFlight int) Usage {
	terms := st.Terms
	if len(g.Period) != len(terms.Kind.Period(now)) {
		g.Period = ""
	}
	g = g.InPresent(now, terms)
	out := Usage{
		PlanID: terms.PlanID, Period: g.Period, Limit: terms.Limit, Used: g.Used, Remaining: max(g.Remaining, 0), InFlight: inFlight, ResetsAt: At(g.Ends),
		Rate: rateOf(terms.Rate), Restrictions: RestrictionsOf(st.Restrictions), LimitRestrictionID: st.LimitedBy.NumberBy, RateRestrictionID: st.LimitedBy.RateBy,
	}
	if st.LimitedBy.NumberBy != "" {
		out.PlanLimit = &st.PlanTerms.Limit
	}
	if st.LimitedBy.RateBy != "" {
		rate := rateOf(st.PlanTerms.Rate)
		out.PlanRate = &rate
	}
	if near, full := g.Reached.Near, g.Reached.Full; !near.IsZero() || !full.IsZero() {
		out.ThresholdReachedAt = &UsageThresholds{N80: OptionalTime(near), N100: OptionalTime(full)}
	}
	return out
}

func rateOf(r usage.Rate) Rate {
	return Rate{Limit: r.Limit, WindowSeconds: int64(r.Window / time.Second), Burst: r.Burst}
}

// CapabilitiesOf shows what a provider can carry.
func CapabilitiesOf(providerID string, c provider.Capabilities) Capabilities {
	out := Capabilities{
		ProviderID: providerID, ChannelTypes: c.ChannelTypes, AddressKind: c.AddressKind, UserIDPattern: c.UserID, Content: map[string]provider.Limits{},
		ReplyTo: c.ReplyTo, Statuses: []message.Status{}, ReplyWindowSeconds: int64(c.ReplyWindow.Seconds()), RepeatSafe: c.RepeatSafe,
	}
	for t, l := range c.Content {
		out.Content[string(t)] = l
	}
	for _, s := range c.Statuses {
		out.Statuses = append(out.Statuses, message.Status(s))
	}
	for _, t := range c.OutsideWindow {
		out.OutsideWindow = append(out.OutsideWindow, string(t))
	}
	return out
}

// ClosureOf shows how far the closing of an account is.
func ClosureOf(c account.Closure) Closure {
	return Closure{
		Status: ClosureStatus(c.Status), RequestedAt: At(c.RequestedAt), RequestedBy: c.RequestedBy, PurgeAt: At(c.PurgeAt), PurgedAt: OptionalTime(c.PurgedAt),
		ConversationsPurged: c.Conversations, MessagesCanceled: c.Canceled, Certificate: c.Certificate,
	}
}
