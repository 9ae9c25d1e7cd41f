package all_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/all"
)

// reference holds the names of Kurento 7.3's interface definitions.
type reference struct {
	Classes map[string]struct {
		Extends     string              `json:"extends"`
		Constructor []string            `json:"constructor"`
		Properties  map[string]string   `json:"properties"`
		Methods     map[string][]string `json:"methods"`
		Events      []string            `json:"events"`
	} `json:"classes"`
	Events    map[string][]string `json:"events"`
	Enums     map[string][]string `json:"enums"`
	Registers map[string]struct {
		Extends string   `json:"extends"`
		Fields  []string `json:"fields"`
	} `json:"registers"`
}

// TestNames compares what we have with the reference, name by name; what we do
// not have yet is listed.
func TestNames(t *testing.T) {
	raw, err := os.ReadFile("testdata/names.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(raw, &ref); err != nil {
		t.Fatal(err)
	}
	reg, err := elements.NewRegistry(all.Types(all.Deps{})...)
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	models := map[string]elements.ModelClass{}
	events := map[string][]elements.ModelProperty{}
	types := map[string]elements.ModelType{}
	for _, module := range []string{"core", "elements", "filters"} {
		m, _ := reg.Model(module, "7.3.0")
		for _, c := range m.Classes {
			models[c.Name] = c
		}
		for _, e := range m.Events {
			events[e.Name] = e.Properties
		}
		for _, x := range m.Types {
			types[x.Name] = x
		}
	}
	for name, want := range ref.Classes {
		have, ok := models[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		if have.Extends != want.Extends && name != "MediaObject" {
			t.Errorf("%s extends %q, want %q", name, have.Extends, want.Extends)
		}
		if have.Constructor != nil && !slices.Equal(names(have.Constructor.Params), want.Constructor) {
			t.Errorf("constructor of %s takes %v, want %v", name, names(have.Constructor.Params), want.Constructor)
		}
		for p, access := range want.Properties {
			i := slices.IndexFunc(have.Properties, func(x elements.ModelProperty) bool { return x.Name == p })
			if i < 0 {
				t.Errorf("%s lacks property %s", name, p)
			} else if (access == "ro") != have.Properties[i].ReadOnly {
				t.Errorf("%s.%s: read-only %v, want %s", name, p, have.Properties[i].ReadOnly, access)
			}
		}
		for m, params := range want.Methods {
			i := slices.IndexFunc(have.Methods, func(x elements.ModelMethod) bool { return x.Name == m })
			if i < 0 {
				t.Errorf("%s lacks method %s", name, m)
			} else if got := names(have.Methods[i].Params); !slices.Equal(got, params) {
				t.Errorf("%s.%s takes %v, want %v", name, m, got, params)
			}
		}
		for _, e := range want.Events {
			if !slices.Contains(have.Events, e) {
				t.Errorf("%s lacks event %s", name, e)
				continue
			}
			if got := names(events[e]); !sameSet(got, ref.Events[e]) {
				t.Errorf("event %s has %v, want %v", e, got, ref.Events[e])
			}
		}
	}
	for name, have := range types {
		if want, ok := ref.Enums[name]; ok && !sameSet(have.Values, want) {
			t.Errorf("enumeration %s has %v, want %v", name, have.Values, want)
		}
		if want, ok := ref.Registers[name]; ok {
			fields := want.Fields
			for up := want.Extends; up != ""; up = ref.Registers[up].Extends {
				fields = append(fields, ref.Registers[up].Fields...)
			}
			if !sameSet(names(have.Properties), fields) {
				t.Errorf("register %s has %v, want %v", name, names(have.Properties), fields)
			}
		}
		if name == "ConnectedState" {
			continue // MediaState and ConnectionState of the reference, which are equal
		}
		if _, enum := ref.Enums[name]; !enum && ref.Registers[name].Fields == nil {
			t.Errorf("type %s is none of the reference's", name)
		}
	}
	slices.Sort(missing)
	t.Logf("not in this build: %s", strings.Join(missing, " "))
}

func names(list []elements.ModelProperty) []string {
	out := []string{}
	for _, p := range list {
		out = append(out, p.Name)
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
