package elements

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Manual is the generated manual of a registry: Markdown by file name, one page
// per type and README.md as their list.
func (r *Registry) Manual() map[string]string {
	out := map[string]string{"README.md": r.contents()}
	for _, c := range r.order {
		out[c.typ.Name+".md"] = r.page(c)
	}
	return out
}

const manualHead = "<!-- Made from the registry by `make docs`: edit the types, not this page. -->\n\n"

func (r *Registry) contents() string {
	var b strings.Builder
	b.WriteString(manualHead + "# Types\n\nWhat `create` makes, and the abstract types they inherit from. The protocol around them is in\n[kurento-protocol.md](../kurento-protocol.md). Qualified names are `kurento.` and the name.\n")
	modules := []string{}
	for _, c := range r.order {
		if !slices.Contains(modules, c.typ.Module) {
			modules = append(modules, c.typ.Module)
		}
	}
	slices.Sort(modules)
	for _, module := range modules {
		fmt.Fprintf(&b, "\n## Module %s\n\n| type | inherits from | |\n|---|---|---|\n", module)
		list := slices.Clone(r.order)
		slices.SortFunc(list, func(a, b *Class) int { return strings.Compare(a.typ.Name, b.typ.Name) })
		for _, c := range list {
			if c.typ.Module != module {
				continue
			}
			parent := "–"
			if c.typ.Extends != "" {
				parent = link(c.typ.Extends)
			}
			name := link(c.typ.Name)
			if !c.Creatable() {
				name = "*" + name + "*"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, parent, cell(c.typ.Doc))
		}
	}
	b.WriteString("\nTypes in *italics* cannot be created.\n")
	return b.String()
}

func link(name string) string { return "[" + name + "](" + name + ".md)" }

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

// page describes one type. Its own members come with their types, inherited ones
// by name.
func (r *Registry) page(c *Class) string {
	var b strings.Builder
	m := Model{}
	seen := map[reflect.Type]bool{}
	own := c.model(&m, seen)
	fmt.Fprintf(&b, manualHead+"# %s\n\n", c.typ.Name)
	if c.typ.Doc != "" {
		b.WriteString(c.typ.Doc + "\n\n")
	}
	fmt.Fprintf(&b, "Module %s", c.typ.Module)
	for _, a := range c.ancestors {
		b.WriteString(" · " + link(a.typ.Name))
	}
	b.WriteString("\n")
	if own.Constructor != nil {
		b.WriteString("\n## Create\n\n")
		if len(own.Constructor.Params) == 0 {
			b.WriteString("Without parameters.\n")
		} else {
			writeParams(&b, own.Constructor.Params)
		}
	}
	if len(own.Properties) > 0 {
		b.WriteString("\n## Properties\n\n| name | type | read with | changed with |\n|---|---|---|---|\n")
		for _, p := range own.Properties {
			set := "`set" + raise(p.Name) + "`"
			if p.ReadOnly {
				set = "–"
			}
			fmt.Fprintf(&b, "| `%s` | %s | `get%s` | %s |\n", p.Name, typeText(p.Type), raise(p.Name), set)
		}
	}
	if len(own.Methods) > 0 {
		b.WriteString("\n## Methods\n")
		for _, x := range own.Methods {
			result := "nothing"
			if x.Return != nil {
				result = typeText(x.Return.Type)
			}
			fmt.Fprintf(&b, "\n### `%s`\n\nGives %s.\n", x.Name, result)
			if len(x.Params) > 0 {
				b.WriteString("\n")
				writeParams(&b, x.Params)
			}
		}
	}
	if len(own.Events) > 0 {
		b.WriteString("\n## Events\n\nBeside `source`, `tags`, `timestampMillis` and `type`:\n\n| event | fields |\n|---|---|\n")
		for _, name := range own.Events {
			fields := "–"
			for _, e := range m.Events {
				if e.Name == name && len(e.Properties) > 0 {
					fields = fieldText(e.Properties)
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", name, fields)
		}
	}
	writeTypes(&b, m.Types)
	r.writeInherited(&b, c)
	writeLegacy(&b, c)
	return b.String()
}

func writeParams(b *strings.Builder, list []ModelProperty) {
	b.WriteString("| parameter | type | default |\n|---|---|---|\n")
	for _, p := range list {
		def := "*required*"
		if p.Optional {
			def = "optional"
		}
		if p.Default != nil {
			def = fmt.Sprintf("`%v`", p.Default)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", p.Name, typeText(p.Type), def)
	}
}

// typeText is a type in a table.
func typeText(name string) string { return "`" + name + "`" }

func fieldText(list []ModelProperty) string {
	var out []string
	for _, p := range list {
		text := "`" + p.Name + "` " + typeText(p.Type)
		if p.Optional {
			text += " (may be absent)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func writeTypes(b *strings.Builder, list []ModelType) {
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b ModelType) int { return strings.Compare(a.Name, b.Name) })
	b.WriteString("\n## Values\n\n| type | |\n|---|---|\n")
	for _, t := range list {
		text := fieldText(t.Properties)
		if t.Format == "ENUM" {
			text = "`" + strings.Join(t.Values, "` `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", t.Name, text)
	}
}

func (r *Registry) writeInherited(b *strings.Builder, c *Class) {
	if len(c.ancestors) == 0 {
		return
	}
	b.WriteString("\n## Inherited\n\n| from | properties | methods | events |\n|---|---|---|---|\n")
	for _, a := range c.ancestors {
		var cells [3][]string
		for i := range a.typ.Members {
			x := &a.typ.Members[i]
			if legacyMember(x) {
				continue
			}
			at := map[memberKind]int{propertyMember: 0, methodMember: 1, eventMember: 2}[x.kind]
			cells[at] = append(cells[at], "`"+x.Name+"`")
		}
		fmt.Fprintf(b, "| %s |", link(a.typ.Name))
		for _, names := range cells {
			text := strings.Join(names, " ")
			if text == "" {
				text = "–"
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
	}
}

// writeLegacy lists what clients of 6.x may use besides.
func writeLegacy(b *strings.Builder, c *Class) {
	var names []string
	for i := range c.typ.Members {
		x := &c.typ.Members[i]
		if !legacyMember(x) {
			continue
		}
		name := x.Name
		if x.kind == propertyMember {
			name = "get" + raise(x.Name)
			if x.set != nil {
				names = append(names, "`set"+raise(x.Name)+"`")
			}
		}
		names = append(names, "`"+name+"`")
	}
	if len(names) > 0 {
		slices.Sort(names)
		b.WriteString("\n## Names of Kurento 6.x\n\nFor clients of that line ([who they are](../adr/0009-names-of-6.md)): " + strings.Join(names, ", ") + ".\n")
	}
}
