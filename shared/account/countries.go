package account

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
)

// Countries are those to which an account lets data go, as ISO 3166-1 alpha-2 codes. nil, the default: to all.
type Countries []string

// iso3166 has the codes that ISO 3166-1 assigns, and XK, by which Kosovo is known where it has none.
const iso3166 = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ " +
	"CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR " +
	"GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP " +
	"KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ " +
	"NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW " +
	"SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ " +
	"UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"

// IsCountry reports whether s is a country's code. EU and UK are none.
func IsCountry(s string) bool { return len(s) == 2 && slices.Contains(strings.Fields(iso3166), s) }

// Forbid reports whether data may not go to a provider that takes it to these countries, and which of them stand against it.
// Of one that names none nobody knows where data goes: a list forbids it too.
func (c Countries) Forbid(provider []string) (outside []string, forbidden bool) {
	if c == nil {
		return nil, false
	}
	for _, p := range provider {
		if !slices.Contains(c, p) && !slices.Contains(outside, p) {
			outside = append(outside, p)
		}
	}
	return outside, len(outside) > 0 || len(provider) == 0
}

// version names the list within the version of an account's terms, "" for none: who acts under a version knows the list.
func (c Countries) version() string {
	if c == nil {
		return ""
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.Join(c, " "))) // never fails
	return fmt.Sprintf("@%x", h.Sum32())
}

// countriesFrom reads the list of an account's item; "" is none.
func countriesFrom(text string) Countries {
	if text == "" {
		return nil
	}
	return strings.Fields(text)
}

func (c Countries) text() string { return strings.Join(c, " ") }

// SetCountries sets to which countries data of an account may go; nil: to all. Their order and repetition don't count. A list that is set
// already is not written again. It returns the account. Two requests, more when others change the account meanwhile.
func (s *Store) SetCountries(ctx context.Context, accountID string, to Countries, e audit.Event) (Account, error) {
	if to != nil {
		to = slices.Clone(to)
		slices.Sort(to)
		to = slices.Compact(to)
	}
	e.Action, e.AccountID, e.Target, e.After = "account.transfer_countries_changed", accountID, accountID, to.values()
	for range putTries {
		a, err := s.Get(ctx, accountID)
		if err != nil {
			return Account{}, err
		}
		if a.Countries.text() == to.text() {
			return a, nil
		}
		e.Before = a.Countries.values()
		err = s.Audit.Write(ctx, e, s.countriesUpdate(accountID, a.Countries, to))
		if audit.AsRefused(err) != nil {
			continue // somebody else set it just now
		}
		if err != nil {
			return Account{}, fmt.Errorf("set countries of account: %w", err)
		}
		_, of := s.caches()
		of.Forget(accountID)
		a.Countries = to
		return a, nil
	}
	return Account{}, fmt.Errorf("set countries of account: they changed %d times meanwhile", putTries)
}

// values are the list for the audit log.
func (c Countries) values() map[string]any {
	if c == nil {
		return map[string]any{"allowed_transfer_countries": nil}
	}
	return map[string]any{"allowed_transfer_countries": []string(c)}
}

// countriesUpdate writes a list over the one that was read.
func (s *Store) countriesUpdate(accountID string, was, to Countries) types.TransactWriteItem {
	u := &types.Update{
		TableName: &s.Table, Key: accountKey(accountID), UpdateExpression: aws.String("SET #to = :to"), ConditionExpression: aws.String("attribute_exists(#plan) AND attribute_not_exists(#to)"),
		ExpressionAttributeNames: map[string]string{"#to": attrCountries, "#plan": attrPlan}, ExpressionAttributeValues: attr.Item{},
	}
	if to == nil {
		u.UpdateExpression = aws.String("REMOVE #to")
	} else {
		u.ExpressionAttributeValues[":to"] = attr.String(to.text())
	}
	if was != nil {
		u.ConditionExpression = aws.String("attribute_exists(#plan) AND #to = :was")
		u.ExpressionAttributeValues[":was"] = attr.String(was.text())
	}
	return types.TransactWriteItem{Update: u}
}
