package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/shared/account"
	"contactcenter/shared/api"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
	"contactcenter/shared/usage"
)

const (
	maxText = 256
	maxURL  = 2048
	maxList = 250
)

// form collects what is wrong with a request's fields.
type form struct{ errs api.FieldErrors }

func (f *form) check(ok bool, field, detail string) {
	if !ok {
		f.errs.Add(field, api.FieldInvalid, detail)
	}
}

func (f *form) text(field, s string) {
	f.check(utf8.RuneCountInString(s) <= maxText && strings.TrimSpace(s) != "", field, fmt.Sprintf("must be a text of at most %d characters", maxText))
}

// reason checks why the operator does something, where they say so.
func (f *form) reason(s string) {
	f.check(utf8.RuneCountInString(s) <= maxText, "reason", fmt.Sprintf("must have at most %d characters", maxText))
}

func (f *form) url(field, s string) {
	u, err := url.Parse(s)
	f.check(err == nil && len(s) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", field, "must be a web address")
}

// list checks the length of a list, and that nothing is in it twice.
func (f *form) list(field string, least int, names []string) {
	f.check(len(names) >= least && len(names) <= maxList, field, fmt.Sprintf("must have %d to %d items", least, maxList))
	sorted := slices.Sorted(slices.Values(names))
	f.check(len(slices.Compact(sorted)) == len(names), field, "must not have an item twice")
}

func matches(pattern, s string) bool { return regexp.MustCompile(pattern).MatchString(s) }

// sameID refuses an id in the body that is another than the path's; "" is left out.
func (f *form) sameID(r *http.Request, given string) {
	f.check(given == "" || given == r.PathValue("id"), "id", "is not the id in the path")
}

// providerFrom reads an entry. Adapters are those that it may name.
func providerFrom(r *http.Request, req api.PutProviderRequest, adapters []string) (registry.Entry, error) {
	e := registry.Entry{
		ID: r.PathValue("id"), Name: req.Name, LegalEntity: req.LegalEntity, Website: req.Website, Onboarding: registry.Onboarding(req.Onboarding),
		ChannelTypes: req.ChannelTypes, TransferCountries: req.TransferCountries, TermsVersion: req.TermsVersion, Status: registry.Status(req.Status),
	}
	var f form
	f.check(registry.ValidID(e.ID), "id", "must be a slug: a lower-case letter, then letters, digits and _")
	f.sameID(r, req.ID)
	if req.Adapter != nil {
		e.Adapter = *req.Adapter
		f.check(slices.Contains(adapters, e.Adapter), "adapter", "must be one of the adapters that the Contact Center has: "+strings.Join(adapters, ", "))
	}
	f.text("name", e.Name)
	f.text("legal_entity", e.LegalEntity)
	f.url("website", e.Website)
	f.text("terms_version", e.TermsVersion)
	f.list("channel_types", 1, e.ChannelTypes)
	for i, t := range e.ChannelTypes {
		f.check(registry.ValidID(t), fmt.Sprintf("channel_types[%d]", i), "must be a slug")
	}
	f.list("transfer_countries", 0, e.TransferCountries)
	for i, c := range e.TransferCountries {
		f.check(matches(`^[A-Z]{2}$`, c), fmt.Sprintf("transfer_countries[%d]", i), "must be a country code of ISO 3166-1 alpha-2, like CY")
	}
	f.check(len(req.Documents) <= maxList, "documents", fmt.Sprintf("must have at most %d items", maxList))
	for i, d := range req.Documents {
		f.text(fmt.Sprintf("documents[%d].title", i), d.Title)
		f.url(fmt.Sprintf("documents[%d].url", i), d.URL)
		e.Documents = append(e.Documents, registry.Document(d))
	}
	credentialFields(&f, &e, req.CredentialFields)
	e.Limits = limitsFrom(&f, req.Limits)
	f.reason(req.Reason)
	return e, f.errs.Err()
}

func limitsFrom(f *form, req *api.ProviderLimits) (l registry.Limits) {
	if req == nil {
		return l
	}
	within := func(field string, n, most int64) {
		f.check(n >= 1 && n <= most, field, fmt.Sprintf("must lie between 1 and %d", most))
	}
	rate := func(field string, r *api.ProviderRate) *registry.Rate {
		if r == nil {
			return nil
		}
		out := &registry.Rate{Limit: r.Limit, WindowSeconds: r.WindowSeconds, Burst: 1}
		if r.Burst != nil {
			out.Burst = *r.Burst
		}
		within(field+".limit", r.Limit, account.MaxRate)
		within(field+".window_seconds", r.WindowSeconds, account.MaxWindowSeconds)
		within(field+".burst", out.Burst, r.Limit)
		return out
	}
	l.Rate, l.PerSender = rate("limits.rate", req.Rate), rate("limits.per_sender", req.PerSender)
	if p := req.PerRecipient; p != nil {
		f.check(p.Limit == 1, "limits.per_recipient.limit", "must be 1")
		within("limits.per_recipient.window_seconds", p.WindowSeconds, registry.MaxRecipientSeconds)
		l.PerRecipientSeconds = p.WindowSeconds
	}
	return l
}

func credentialFields(f *form, e *registry.Entry, fields []api.CredentialField) {
	var names []string
	for i, c := range fields {
		f.check(registry.ValidID(c.Name), fmt.Sprintf("credential_fields[%d].name", i), "must be a slug")
		f.check(c.Kind == "secret" || c.Kind == "text", fmt.Sprintf("credential_fields[%d].kind", i), "must be secret or text")
		names = append(names, c.Name)
		e.CredentialFields = append(e.CredentialFields, registry.CredentialField{Name: c.Name, Kind: c.Kind, Optional: c.Optional})
	}
	if e.Onboarding == registry.OwnAccount {
		f.list("credential_fields", 1, names)
		return
	}
	f.check(len(fields) == 0, "credential_fields", "must be left out: a native provider takes no credentials")
}

func senderFrom(r *http.Request) (registry.Sender, string, error) {
	var req api.PutSenderRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return registry.Sender{}, "", err
	}
	s := registry.Sender{ID: r.PathValue("sender_id"), Address: req.Address}
	var f form
	f.check(account.ValidID(s.ID) && len(s.ID) <= 64, "sender_id", "must have 1 to 64 letters, digits, _, -, . and :")
	f.check(matches(`^\+[1-9][0-9]{6,14}$`, s.Address), "address", "must be a number in E.164, like +35799001001")
	f.reason(req.Reason)
	return s, req.Reason, f.errs.Err()
}

func planFrom(r *http.Request) (account.Plan, string, error) {
	var req api.PutPlanRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return account.Plan{}, "", err
	}
	p := account.Plan{
		ID: r.PathValue("id"), Limit: req.Limit, Period: usage.PeriodKind(req.Period),
		Rate: account.Rate{Limit: req.Rate.Limit, WindowSeconds: req.Rate.WindowSeconds, Burst: req.Rate.Limit},
	}
	if req.Rate.Burst != nil {
		p.Rate.Burst = *req.Rate.Burst
	}
	var f form
	within := func(field string, n, least, most int64) {
		f.check(n >= least && n <= most, field, fmt.Sprintf("must lie between %d and %d", least, most))
	}
	f.check(account.ValidID(p.ID), "id", "must have 1 to 128 letters, digits, _, -, . and :")
	f.sameID(r, req.ID)
	within("limit", p.Limit, 0, account.MaxLimit)
	within("rate.limit", p.Rate.Limit, 1, account.MaxRate)
	within("rate.window_seconds", p.Rate.WindowSeconds, 1, account.MaxWindowSeconds)
	if req.Rate.Burst != nil {
		within("rate.burst", p.Rate.Burst, 1, account.MaxRate)
	}
	f.reason(req.Reason)
	return p, req.Reason, f.errs.Err()
}

func accountFrom(r *http.Request) (accountID, planID, reason string, err error) {
	var req api.PutOperatorAccountRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return "", "", "", err
	}
	var f form
	f.check(account.ValidID(r.PathValue("id")), "id", "can't be an account's id")
	f.reason(req.Reason)
	return r.PathValue("id"), req.PlanID, req.Reason, f.errs.Err()
}

func rulesFrom(r *http.Request) (rules.Version, string, error) {
	var req api.PublishRulesRequest
	if err := api.DecodeJSON(r, &req); err != nil {
		return rules.Version{}, "", err
	}
	v := rules.Version{Version: req.Version, EffectiveAt: req.EffectiveAt.UTC().Truncate(time.Millisecond), Mode: rules.Explicit}
	if req.Acceptance != nil {
		v.Mode = rules.Mode(*req.Acceptance)
	}
	var f form
	f.check(matches(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, v.Version) && v.Version != "current" && v.Version != "acceptances", "version",
		"must have 1 to 64 letters, digits, ., _ and -, and be neither current nor acceptances")
	var names []string
	for i, d := range req.Documents {
		at := fmt.Sprintf("documents[%d]", i)
		f.text(at+".version", d.Version)
		f.check(matches(`^[0-9a-f]{64}$`, d.Sha256), at+".sha256", "must be a SHA-256 in 64 lower-case hexadecimal digits")
		f.url(at+".url", d.URL)
		names = append(names, string(d.ID))
		v.Documents = append(v.Documents, rules.Document{ID: string(d.ID), Version: d.Version, SHA256: d.Sha256, URL: d.URL})
	}
	f.list("documents", 3, names)
	for _, must := range rules.DocumentIDs()[:3] {
		f.check(slices.Contains(names, must), "documents", "must have "+must)
	}
	var uses []string
	for i, u := range req.ProhibitedUses {
		f.check(registry.ValidID(u.ID), fmt.Sprintf("prohibited_uses[%d].id", i), "must be a slug")
		f.text(fmt.Sprintf("prohibited_uses[%d].title", i), u.Title)
		uses = append(uses, u.ID)
		v.ProhibitedUses = append(v.ProhibitedUses, rules.ProhibitedUse(u))
	}
	f.list("prohibited_uses", 0, uses)
	f.reason(req.Reason)
	return v, req.Reason, f.errs.Err()
}
