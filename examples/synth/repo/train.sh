exec awk -f world.awk -f train.awk
