package template

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"
)

// text is a scalar as CloudFormation passes it on: as text.
func text(v any) string {
	switch v := v.(type) {
	case nil, noValue:
		return ""
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func texts(v any) []string {
	switch v := v.(type) {
	case nil, noValue:
		return nil
	case []any:
		out := make([]string, len(v))
		for i, item := range v {
			out[i] = text(item)
		}
		return out
	default:
		return []string{text(v)}
	}
}

func integer(v any) (int, bool) {
	n, err := strconv.Atoi(text(v))
	return n, err == nil
}

func integerOr(v any, fallback int) int {
	if n, ok := integer(v); ok {
		return n
	}
	return fallback
}

func seconds(v any, fallback int) time.Duration {
	return time.Duration(integerOr(v, fallback)) * time.Second
}

// merge lays a resource's own properties over the template's Globals as SAM does: mappings are merged, lists
// appended, anything else replaced.
func merge(global, own any) any {
	switch global := global.(type) {
	case map[string]any:
		mine, ok := own.(map[string]any)
		if !ok {
			break
		}
		if _, _, special := intrinsic(mine); special {
			break
		}
		out := maps.Clone(global)
		for key, v := range mine {
			if inherited, both := out[key]; both {
				v = merge(inherited, v)
			}
			out[key] = v
		}
		return out
	case []any:
		if mine, ok := own.([]any); ok {
			return append(append([]any{}, global...), mine...)
		}
	}
	return own
}
