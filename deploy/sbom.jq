# Leaves in a CycloneDX document what $kept lists, a `name@version` a line, and what belongs to that.
($kept | split("\n")) as $kept
| .components |= map(select("\(.name)@\(.version)" | IN($kept[])))
| ([.metadata.component["bom-ref"], .components[]["bom-ref"]]) as $refs
| .dependencies |= map(select(.ref | IN($refs[])) | if .dependsOn then .dependsOn |= map(select(IN($refs[]))) else . end)
