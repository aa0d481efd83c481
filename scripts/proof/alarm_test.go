package proof

import (
	"fmt"
	"testing"
)

// CloudWatch takes at most ten metrics in the expression of an alarm, and a deployment fails at more. Every function's and
// every table's throttles are looked at, also those of one that was added since.
func TestAlarmsSeeEveryFunctionAndTableAndCanBeDeployed(t *testing.T) {
	t.Parallel()
	const most = 10
	resources := resources(t)
	seen := map[string]bool{}
	for name := range resources {
		r := object(t, resources, name)
		if r["Type"] != "AWS::CloudWatch::Alarm" {
			continue
		}
		metrics, _ := object(t, r, "Properties")["Metrics"].([]any)
		n := 0
		for _, m := range metrics {
			stat, ok := m.(map[string]any)["MetricStat"].(map[string]any)
			if !ok {
				continue // the expression
			}
			n++
			metric := object(t, stat, "Metric")
			for _, d := range metric["Dimensions"].([]any) {
				seen[fmt.Sprint(metric["MetricName"], " ", d.(map[string]any)["Value"])] = true
			}
		}
		if n > most {
			t.Errorf("%s looks at %d metrics, CloudWatch takes %d", name, n, most)
		}
	}
	for name := range resources {
		var wanted []string
		switch object(t, resources, name)["Type"] {
		case "AWS::Serverless::Function":
			wanted = []string{"Throttles"}
		case "AWS::DynamoDB::Table":
			wanted = []string{"ReadThrottleEvents", "WriteThrottleEvents"}
		}
		for _, metric := range wanted {
			if !seen[metric+" "+name] {
				t.Errorf("no alarm looks at %s of %s", metric, name)
			}
		}
	}
}
