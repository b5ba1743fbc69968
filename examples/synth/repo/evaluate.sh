# The lab's own measurement, with truth.awk beside it. Protected.
exec awk -f world.awk -f truth.awk -v method="$ORG_OUT/method.txt"
